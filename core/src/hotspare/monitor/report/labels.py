"""The labels of a report, in English and Korean, and the format of its values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

Language = Literal["en", "ko"]

WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "title": "hotspare report", "calls": "Calls", "success": "Answered", "rescued": "Rescued calls",
        "rescued_note": "answered although their first attempt or stream failed", "latency": "Latency", "ttft": "Time to first token",
        "mean": "mean", "p50": "p50", "p95": "p95", "p99": "p99", "max": "max", "min": "min", "cost": "Cost",
        "cost_note": "{priced} of {calls} calls have a known price", "tokens": "Tokens in / out", "cached": "Tokens from a cache",
        "wasted": "Wasted tokens", "survived": "Outage survived", "survived_note": "a target was unavailable, and no call was lost",
        "detect": "Time to detect (mean)", "recover": "Time to recover (mean)", "failovers": "Failovers", "rate_limits": "Rate limits",
        "lost": "Lost", "at_once": "Answered without failover", "abandoned": "Cancelled by the caller", "timeline": "Timeline", "p95_line": "Seconds of a call, p95",
        "targets": "Targets", "target": "Target", "attempts": "Attempts", "failures": "Failures", "uptime": "Uptime", "domains": "Failure domains",
        "outages": "Outages", "start": "Start", "duration": "Duration", "not_over": "no recovery recorded", "routes": "Routes", "labels": "Labels",
        "name": "Name", "alerts": "Alerts", "severity": "Severity", "rule": "Rule", "value": "Value", "none": "none", "out": "out",
        "utc": "Times are UTC.", "wasted_usd": "Wasted", "saved_usd": "Saved by cheaper targets", "saved_cache": "Saved by the cache",
        "saved_tokens": "Tokens left out of prompts", "saved": "Saved", "to_detect": "To detect", "ttft_p95": "TTFT p95", "limits": "Limits and budgets", "limit": "Limit or budget", "used": "Most used in a minute",
    },
    "ko": {
        "title": "hotspare 보고서", "calls": "호출", "success": "응답률", "rescued": "구제된 호출",
        "rescued_note": "첫 시도나 스트림은 실패했지만 응답한 호출", "latency": "응답 시간", "ttft": "첫 토큰까지의 시간",
        "mean": "평균", "p50": "p50", "p95": "p95", "p99": "p99", "max": "최대", "min": "최소", "cost": "비용",
        "cost_note": "가격을 아는 호출 {priced}/{calls}건 기준", "tokens": "입력 / 출력 토큰", "cached": "캐시에서 읽은 토큰",
        "wasted": "낭비된 토큰", "survived": "버텨 낸 장애", "survived_note": "대상은 중단되었지만 실패한 호출은 없음",
        "detect": "감지까지의 시간 (평균)", "recover": "복구까지의 시간 (평균)", "failovers": "페일오버", "rate_limits": "요청 한도 초과",
        "lost": "실패", "at_once": "페일오버 없이 응답", "abandoned": "호출자가 취소함", "timeline": "시간대별", "p95_line": "호출 시간(초), p95",
        "targets": "대상", "target": "대상", "attempts": "시도", "failures": "실패", "uptime": "가동률", "domains": "장애 도메인",
        "outages": "장애", "start": "시작", "duration": "지속 시간", "not_over": "복구 기록 없음", "routes": "라우트", "labels": "라벨",
        "name": "이름", "alerts": "알림", "severity": "심각도", "rule": "규칙", "value": "값", "none": "없음", "out": "중단",
        "utc": "시각은 UTC입니다.", "wasted_usd": "낭비된 비용", "saved_usd": "더 저렴한 대상으로 절약", "saved_cache": "캐시로 절약",
        "saved_tokens": "프롬프트에서 뺀 토큰", "saved": "절약", "to_detect": "감지까지", "ttft_p95": "TTFT p95", "limits": "한도와 예산", "limit": "한도 또는 예산", "used": "1분 최대 사용률",
    },
}  # fmt: skip


def moment(at: float) -> str:
    """A date and a time of day, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def seconds(value: float | None) -> str:
    """A duration."""
    if value is None:
        return "–"
    if value < 10:
        return f"{value:.2f} s"
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.1f} min"


def percent(value: float | None) -> str:
    """A share in percent; 100 % only if it is exactly 1."""
    if value is None:
        return "–"
    return f"{value:.2%}" if value in (0.0, 1.0) else f"{min(value, 0.9999):.2%}"


def usd(value: float | None) -> str:
    """USD, with more decimals for small amounts; a dash if it is not known."""
    if value is None:
        return "–"
    return f"${value:,.2f}" if value >= 1 else f"${value:.4f}"
