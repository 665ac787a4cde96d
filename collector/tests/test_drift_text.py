"""The drift verdict on free text: what is text, each test against its definition on raw texts, names, false alarms."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy import stats

from modelward_agent.profile import FeatureProfile, Profile, Segment, merged
from modelward_agent.profile.text import CLASSES, bucket_of, character_shares, words_of
from modelward_collector.checks.drift import check_drift
from modelward_collector.checks.drift_reference import PreparedReference, prepare_reference
from modelward_collector.checks.drift_since import Steps
from modelward_collector.checks.result import CheckResult, Finding, Status
from modelward_collector.checks.window import ReferenceProfile, Window
from modelward_collector.models import ModelSpec
from modelward_collector.span import Span
from modelward_collector.stats.feature import CATEGORICAL, TEXT, FeatureView
from modelward_collector.stats.histogram import paired_histogram
from modelward_collector.stats.text import TextScatter, TextView, character_tests, text_tests, word_tests

DAY = timedelta(days=1)
START = datetime(2026, 3, 2, tzinfo=UTC)
ENGLISH = "the a my is was not please help account card payment order refund late box phone email app bank".split()  # noqa: SIM905
GERMAN = "der die das nicht bitte Konto Karte für Geld zurück Müller".split()  # noqa: SIM905


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(20260302)


def texts(draw: np.random.Generator, n: int, words: list[str] = ENGLISH, size: float = 12) -> list[str]:
    share = 1 / np.arange(1, len(words) + 1)
    return [" ".join(draw.choice(words, max(8, draw.poisson(size)), p=share / share.sum())) + "." for _ in range(n)]


def feature(values: Sequence[str | None]) -> FeatureProfile:
    made = FeatureProfile()
    made.missing = sum(value is None for value in values)
    present = [value for value in values if value is not None]
    made.update_counts(Counter(present))
    return made


def rows(values: Sequence[str | None]) -> Profile:
    made = Profile()
    made.rows = len(values)
    made.features["note"] = feature(values)
    return made


def check(reference: PreparedReference, current: Profile, steps: Steps | None = None) -> CheckResult:
    window = Window("desk", Span(START, START + DAY), {("v1", ()): current})
    return check_drift(ModelSpec(model="desk"), "v1", reference, window, steps=steps)


def reference_of(parts: Sequence[Profile]) -> PreparedReference:
    spans = [Span(START - (20 - i) * DAY, START - (19 - i) * DAY) for i in range(len(parts))]
    return prepare_reference(ReferenceProfile("before", merged(parts), tuple(zip(spans, parts, strict=True))))


def note_of(result: CheckResult) -> Finding:
    return next(finding for finding in result.findings if finding.subject == "note")


def test_texts_are_text_and_a_few_long_categories_are_categories(draw: np.random.Generator) -> None:
    assert FeatureView.of(feature(texts(draw, 300))).kind == TEXT
    answers = ["I agree to the terms of use", "I do not agree to the terms of use"]
    assert FeatureView.of(feature(draw.choice(answers, 300).tolist())).kind == CATEGORICAL
    assert FeatureView.of(feature([f"id-{i}" for i in range(300)])).kind == CATEGORICAL


def view(values: Sequence[str | None]) -> TextView:
    sketch = feature(values).text
    assert sketch is not None
    return TextView.of(sketch)


def test_each_test_is_its_definition_on_the_raw_texts(draw: np.random.Generator) -> None:
    before, after = texts(draw, 3_000), texts(draw, 800, size=13)
    r, c = view(before), view(after)

    length = text_tests(r, c)[0]
    lengths = [np.array([len(text) for text in side]) for side in (before, after)]
    assert length.value == pytest.approx((lengths[1].mean() - lengths[0].mean()) / lengths[0].std(ddof=1))
    # The larger variance for both sides: at least as cautious as Welch's test, and near it.
    welch = stats.ttest_ind(lengths[1], lengths[0], equal_var=False).pvalue
    assert length.p is not None
    assert welch <= length.p * 1.3
    assert np.log10(length.p) == pytest.approx(np.log10(welch), rel=0.25)

    shares = [character_shares(side) for side in (before, after)]
    for index, outcome in enumerate(character_tests(r, c, TextScatter())):
        sd = shares[0][index].std(ddof=1)
        if sd > 0:
            assert outcome.value == pytest.approx((shares[1][index].mean() - shares[0][index].mean()) / sd)
        assert outcome.subject == CLASSES[index]

    for outcome in word_tests(r, c, TextScatter()):
        assert outcome.subject is not None
        bucket = bucket_of(outcome.subject)
        having = [sum(bucket in map(bucket_of, words_of(text)) for text in side) for side in (before, after)]
        assert outcome.value == pytest.approx(having[1] / len(after) - having[0] / len(before))
        a, b = having
        tails = [stats.hypergeom(3_800, a + b, 800).cdf(b), stats.hypergeom(3_800, a + b, 800).sf(b - 1)]
        assert outcome.p == pytest.approx(min(1.0, 2 * min(tails)), rel=1e-6)


CHANGES: dict[str, tuple[Callable[[np.random.Generator, int], Sequence[str | None]], str]] = {
    "words": (lambda d, n: [f"{t} outage" if d.random() < 0.05 else t for t in texts(d, n)], '"outage" is in more'),
    "length": (lambda d, n: texts(d, n, size=15), "note got longer: "),
    "capitals": (lambda d, n: [t.upper() if d.random() < 0.1 else t for t in texts(d, n)], "note has more capitals"),
    "encoding": (lambda d, n: [t.replace("e", "Ã©") for t in texts(d, n)], "note"),
    "codes": (lambda d, n: [t if d.random() < 0.6 else "N/A" for t in texts(d, n)], "note has fewer texts"),
    "language": (lambda d, n: texts(d, n, GERMAN), "note"),
    "gone": (lambda d, n: [None] * n, "note is gone"),
    "short": (lambda d, n: ["ok"] * n, "note has fewer texts"),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHANGES)
def test_what_changed_in_texts_is_found_and_said(draw: np.random.Generator, kind: str) -> None:
    change, words = CHANGES[kind]
    found = note_of(check(reference_of([rows(texts(draw, 1_000)) for _ in range(5)]), rows(change(draw, 1_000))))
    assert found.status in (Status.WARNING, Status.CRITICAL)
    assert words in found.message
    if kind in ("words", "capitals", "encoding", "language"):
        named = found.detail["contributors"]
        assert named
        assert {"words": "outage", "capitals": "capitals"}.get(kind, named[0]["name"]) in [one["name"] for one in named]
        assert all(0 <= one["reference"] <= 1 and 0 <= one["current"] <= 1 for one in named if "reference" in one)


def test_texts_of_every_day_anew_are_no_drift(draw: np.random.Generator) -> None:
    reference = reference_of([rows(texts(draw, 600)) for _ in range(10)])
    flagged = [note_of(check(reference, rows(texts(draw, 300)))).status is not Status.OK for _ in range(100)]
    assert sum(flagged) <= 3  # 1% is promised; 4 of 100 would be odd at p = 0.02


def test_words_that_come_and_go_in_the_reference_are_no_drift(draw: np.random.Generator) -> None:
    def day(number: int) -> Profile:
        weekend = number % 7 > 4
        return rows([f"{text} weekend" if weekend and draw.random() < 0.6 else text for text in texts(draw, 600)])

    reference = reference_of([day(number) for number in range(14)])
    weekends = [note_of(check(reference, day(number))) for number in range(70) if number % 7 > 4]
    assert sum(found.status is not Status.OK for found in weekends) <= 2  # of 20; 1% is promised
    assert not any("weekend" in found.message for found in weekends)


def test_since_when_is_told_of_texts_too(draw: np.random.Generator) -> None:
    minutes: dict[datetime, Profile] = {}
    change = START + timedelta(hours=15, minutes=20)
    for number in range(24 * 12):
        at = START + number * timedelta(minutes=5)
        sent = texts(draw, 8)
        minutes[at] = rows([f"{text} outage" if at >= change and draw.random() < 0.5 else text for text in sent])

    def steps(span: Span, step: timedelta) -> list[tuple[Span, dict[Segment, Profile]]]:
        parts: dict[datetime, list[Profile]] = {}
        for at, made in minutes.items():
            if span.start <= at < span.end:
                begin = datetime.fromtimestamp(at.timestamp() // step.total_seconds() * step.total_seconds(), UTC)
                parts.setdefault(begin, []).append(made)
        return [(Span(begin, begin + step), {(): merged(made)}) for begin, made in sorted(parts.items())]

    reference = reference_of([rows(texts(draw, 1_000)) for _ in range(5)])
    found = note_of(check(reference, merged(minutes.values()), steps=steps))
    low, high = (datetime.fromisoformat(found.detail["change"][name]) for name in ("low", "high"))
    assert low <= change <= high
    assert high - low <= timedelta(hours=1)


def test_profiles_of_older_agents_have_no_texts_and_no_verdict_on_them(draw: np.random.Generator) -> None:
    older = rows(texts(draw, 1_000))
    older.features["note"].text, older.features["note"].unexamined = None, 1_000
    reference = reference_of([rows(texts(draw, 1_000)) for _ in range(5)])
    found = note_of(check(reference, older))
    assert found.status is Status.OK, "what was not summarised has not changed"
    half = merged([older, rows(texts(draw, 1_000))])
    assert note_of(check(reference, half)).status is Status.OK, "hosts are upgraded one by one"
    assert note_of(check(reference_of([older] * 5), rows(texts(draw, 1_000)))).status is Status.OK


def test_of_texts_the_lengths_are_drawn(draw: np.random.Generator) -> None:
    paired = paired_histogram(feature(texts(draw, 500)), feature(texts(draw, 500, size=20)))
    assert paired is not None
    assert paired.kind == TEXT
    assert paired.edges is not None
    assert paired.reference.sum() == pytest.approx(1)
