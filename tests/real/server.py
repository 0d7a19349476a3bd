"""llama.cpp's own server with a small model, as a program: `server.py MODEL PORT`. It needs `xllamacpp`, in an environment of its own."""

import sys
import time

import xllamacpp as xlc  # type: ignore[import-not-found]

path, port = sys.argv[1], int(sys.argv[2])
parameters = xlc.CommonParams()
# One slot: two requests at once would be computed together, and a text may then differ in a word.
parameters.model.path, parameters.n_ctx, parameters.n_parallel = path, 2048, 1
parameters.hostnames, parameters.port = ["127.0.0.1"], port
parameters.fit_params = parameters.warmup = False  # with these it can hang while it loads on a busy machine
parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
parameters.n_threads_http = 4
server = xlc.Server(parameters)
while True:
    time.sleep(60)
