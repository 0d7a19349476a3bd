"""Watches a pool and sends alerts.

::

    monitor = Monitor(pool, channels=[Webhook("https://…"), Smtp("mail.example.com", sender="…", to=["…"])]).start()

Rules are data (`Rule`, `DEFAULT_RULES`); `hotspare alerts` tests channels, lists alerts, and silences rules.
"""

from hotspare.monitor.channels import Apprise as Apprise
from hotspare.monitor.channels import Channel as Channel
from hotspare.monitor.channels import Notice as Notice
from hotspare.monitor.channels import Smtp as Smtp
from hotspare.monitor.channels import Webhook as Webhook
from hotspare.monitor.rules import DEFAULT_RULES as DEFAULT_RULES
from hotspare.monitor.rules import Rule as Rule
from hotspare.monitor.watch import Monitor as Monitor
