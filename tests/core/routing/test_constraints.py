"""Which targets a call may use: regions, prices, capabilities, names; routes with a policy of their own; the `choose` hook."""

from typing import Any

import pytest
from hotspare import AllTargetsFailed, ConfigError, Kind, Outcome, Policy, Pool, Price, RequestError
from hotspare._routing.constraints import CONSTRAINING, constraints_of
from hotspare.messages import ChatRequest
from hotspare.testing import ScriptedTarget, scripted_pool

DOWN = Outcome(Kind.SERVER, "down", 500)


def pool(script: Any = "ok", **options: Any) -> Pool:
    """Four targets: `us` and `eu` serve gpt, `kr` and `any` something else."""
    return scripted_pool(
        ScriptedTarget("us", script, id="openai/gpt", region="us", price=Price(2, 8)),
        ScriptedTarget("eu", script, id="azure/gpt", region="eu", price=Price(4, 8), missing={"vision"}),
        ScriptedTarget("kr", id="x/claude", region="kr", price=Price(1, 1), aliases={"best"}),
        ScriptedTarget("any", id="y/flash"),
        **options,
    )


def plan(of: Pool, **options: Any) -> str:
    """The targets of a call in their order, by way of its engine."""
    return " ".join(state.name for state in of._call("q", options, streaming=False).states())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "us eu kr any"),
        ({"regions": {"eu", "kr"}}, "eu kr"),
        ({"regions": ["eu"]}, "eu"),
        ({"prefer_regions": {"kr", "eu"}}, "eu kr us any"),
        ({"max_price": 3.5}, "us kr"),  # a price that is not known is above every limit
        ({"max_price": 3.4}, "kr"),
        ({"require": {"vision"}}, "us kr any"),
        ({"only": {"eu", "claude"}}, "eu kr"),
        ({"only": ["openai"]}, "us"),
        ({"avoid": {"best", "y"}}, "us eu"),
        ({"model": "gpt"}, "us eu kr any"),
        ({"model": "claude"}, "kr us eu any"),
        ({"model": "gpt", "substitute": False}, "us eu"),
        ({"model": "gpt", "regions": {"eu", "kr"}, "prefer_regions": {"kr"}}, "eu kr"),  # the same model comes first
    ],
)
def test_what_a_call_allows(options: dict[str, Any], expected: str) -> None:
    """By its own options, and the same by the policy of its pool."""
    assert plan(pool(), **options) == expected
    of_pool = {k: v for k, v in options.items() if k in ("regions", "prefer_regions", "max_price", "substitute")}
    rest = {k: v for k, v in options.items() if k not in of_pool}
    assert plan(pool(**of_pool), **rest) == expected


def test_a_call_cannot_widen_what_its_policy_allows() -> None:
    """Regions are intersected, and the lower price holds."""
    strict = pool(regions={"us", "eu"}, max_price=4.0)
    assert plan(strict, regions={"us", "kr"}, max_price=100) == "us"
    with pytest.raises(RequestError) as caught:
        strict.chat("q", regions={"kr"})
    assert "no target may be used for this call: us: its region us is not allowed; eu: its region eu" in str(
        caught.value
    )
    with pytest.raises(
        ConfigError, match=r"routes.default: no target may be used .* its region \(none\) is not allowed"
    ):
        pool(regions={"nowhere"})


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"only": {"uss"}}, "only: 'uss' is not a target, model, alias or provider of this pool; did you mean 'us'?"),
        ({"avoid": {"zzz"}}, "any, azure"),
        ({"regions": "eu"}, "must be a collection of strings"),
        ({"require": {"visio"}}, "require: 'visio' is not a capability; they are tools, vision"),
        ({"max_price": "cheap"}, "max_price: 'cheap' must be a number of USD per million tokens"),
        ({"substitute": "no"}, "substitute: 'no' must be True or False"),
        ({"session": ""}, "session: '' must be a string of 1 to 200 characters"),
    ],
)
def test_what_is_no_constraint(option: Any, words: str) -> None:
    """Named with its value and what to write instead, before anything is sent."""
    with pytest.raises(RequestError) as caught:
        pool().chat("q", **option)
    assert words in str(caught.value)


def test_the_same_model_is_asked_before_another_one_answers() -> None:
    """Also where its targets recover or are slow; `substitute=False` forbids the other model, whatever fails."""
    failing = pool(DOWN, when_all_down="fail", retry_same_target="never")
    assert [one.target for one in failing.chat("q", model="gpt").attempts] == ["us", "eu", "kr"]
    with pytest.raises(AllTargetsFailed) as caught:
        failing.chat("q", model="gpt", substitute=False)
    assert {one.target for one in caught.value.attempts} == {"us", "eu"}
    well = pool(strategy="weighted")
    for state in well._states[:2]:
        state.breaker.recover(0.0)
    for _ in range(20):
        assert plan_of_engine(well, model="gpt")[:2] in (["us", "eu"], ["eu", "us"])


def plan_of_engine(of: Pool, **options: Any) -> list[str]:
    """The order in which the engine would try the targets now."""
    return [
        choice.target for choice in of._scheduler.explain(of._call("q", options, streaming=False), "r", 0.0).choices
    ]


def test_explain_names_what_is_excluded() -> None:
    """With its reason; and so does the error of a call that no target answered."""
    choices = {one.target: (one.skipped, one.reason) for one in pool(regions={"us"}).explain().choices}
    assert choices["us"] == (None, "")
    assert choices["eu"] == ("excluded", "its region eu is not allowed")
    down = scripted_pool(
        ScriptedTarget("a", DOWN, region="eu"), ScriptedTarget("b", region="us"), regions={"eu"}, when_all_down="fail"
    )
    with pytest.raises(AllTargetsFailed) as caught:
        down.chat("q")
    assert caught.value.skipped["b"] == "its region us is not allowed"


ROUTES: Any = {
    "simple": ["any", "kr"],
    "batch": {"tiers": [["us", "kr"], "eu"], "deadline": 600, "strategy": "cost", "max_attempts": 2, "max_price": 4},
}


def test_a_route_with_a_policy_of_its_own() -> None:
    """Its fields take precedence over the pool's, for its calls only; a call's own options over both."""
    routed = pool(routes=ROUTES, deadline=30)
    call = routed._call("q", {"model": "batch"}, streaming=False)
    assert (call.deadline - call.started, call.max_attempts, call.route) == (600, 2, "batch")
    assert routed.chat("q", model="batch").target == "kr"
    assert plan(routed, model="batch") == "us kr"
    assert routed._call("q", {"model": "batch", "deadline": 5.0}, streaming=False).time_budget == 5.0
    assert routed._call("q", {}, streaming=False).time_budget == 30
    assert routed.chat("q", model="simple").target == "any"


def test_a_route_s_kinds_of_failover() -> None:
    """`failover_on` of a route: a content filter is final elsewhere, and fails over there."""
    refusal = Outcome(Kind.CONTENT_FILTER, "no", 400)
    routed = scripted_pool(
        ScriptedTarget("a", refusal), "b", routes={"lax": {"tiers": ["a", "b"], "failover_on": {Kind.CONTENT_FILTER}}}
    )
    assert routed.chat("q", model="lax").target == "b"
    with pytest.raises(AllTargetsFailed, match="1 attempt failed"):
        routed.chat("q")


@pytest.mark.parametrize(
    ("route", "words"),
    [
        ({"tiers": ["us"], "breaker": {}}, "routes.r.breaker: {} is shared by all calls of the pool: set it there"),
        ({"tiers": ["us"], "deadline": -1}, "routes.r.deadline: -1"),
        ({"tiers": ["uss"]}, "routes.r.tiers[0]"),
        ({"deadline": 3}, "routes.r.tiers: None must be a list of tiers"),
    ],
)
def test_a_wrong_route(route: Any, words: str) -> None:
    """Named with its path, in code and in a file alike."""
    targets = [{"id": "openai/gpt", "name": "us", "base_url": "http://localhost/v1", "api_key": "k"}]
    for build in (
        lambda: pool(routes={"r": route}),
        lambda: Pool.from_config({"targets": targets, "routes": {"r": route}}),
    ):
        with pytest.raises(ConfigError) as caught:
            build()
        assert words.partition("{}")[0].rstrip() in str(caught.value)


def test_a_route_from_a_file() -> None:
    """A table with `tiers` and fields of Policy."""
    targets = [{"id": f"openai/{n}", "name": n, "base_url": "http://localhost/v1", "api_key": "k"} for n in "ab"]
    found = Pool.from_config(
        {
            "targets": targets,
            "routes": {"default": ["b"], "batch": {"tiers": [["a"], ["b"]], "deadline": 600, "strategy": "weighted"}},
        }
    )
    assert {name: len(tiers) for name, tiers in found.routes.items()} == {"default": 1, "batch": 2}
    call = found._call("q", {"model": "batch"}, streaming=False)
    assert (call.policy.deadline, call.policy.strategy) == (600.0, "weighted")


def test_choose() -> None:
    """The hook names the route of calls that name no model; None is the default route."""

    def by_task(request: ChatRequest) -> str | None:
        return "simple" if len(str(request.messages)) < 80 else None

    routed = pool(routes=ROUTES, choose=by_task)
    assert routed.chat("short").target == "any"
    assert routed.chat("long " * 40).target == "us"
    assert routed.chat("short", model="batch").target == "kr"
    with pytest.raises(RequestError, match="model: 'nowhere' is not a route"):
        pool(choose=lambda request: "nowhere").chat("q")


def test_selections_are_kept_but_not_for_ever() -> None:
    """A thousand combinations of options do not fill the memory."""
    of = pool()
    for n in range(1000):
        of._call("q", {"max_price": float(n + 2)}, streaming=False)
    assert len(of._table._cache) <= 256


def test_only_options_that_constrain_are_looked_at() -> None:
    """A call whose options constrain nothing shares its route's selection; the options that do are all that constraints are made of."""
    read: set[str] = set()

    class Options(dict[str, Any]):
        def get(self, name: str, default: Any = None) -> Any:
            read.add(name)
            return default

    constraints_of(None, Policy(), Options())
    assert read == CONSTRAINING
    of = pool()
    plain = of._call("q", {}, streaming=False)
    assert of._call("q", {"completion": "wait", "deadline": 5, "session": "s"}, streaming=False).tiers is plain.tiers
    assert of._call("q", {"avoid": ["us"]}, streaming=False).tiers is not plain.tiers
