from __future__ import annotations

import csv
import dataclasses
import io
from xml.etree import ElementTree

import pytest

from cqrs.circuit_breaker import CircuitBreakerPolicy, State
from cqrs.simulation import NodeFault, SharedStore, SimulationResult, Spread, compare, simulate
from cqrs.simulation.charts import MOST, chart
from cqrs.simulation.process import History
from cqrs.simulation.report import LEGEND, STORE_LEGEND, as_csv, table
from tests.unit.simulation.support import down, scenario, up

OUTAGE = scenario(up(), down(), up(40.0), name="<outage>")
POLICIES = {"none": None, "<three>": CircuitBreakerPolicy.consecutive(3, ttl=10.0)}


@pytest.fixture(scope="module")
def results() -> dict[str, SimulationResult]:
    return compare(POLICIES, OUTAGE, processes=5)


def test_p99_of_a_hundred_values_is_the_last_but_one() -> None:
    assert Spread.of([float(value) for value in range(100)]) == Spread(100, 0.0, 49.0, 98.0, 99.0)
    assert Spread.of([7.0]) == Spread(1, 7.0, 7.0, 7.0, 7.0)
    assert Spread.of([]) is None


def test_a_fallback_answers_what_was_rejected_or_failed_but_nobody_waits_after_a_cancellation() -> None:
    result = dataclasses.replace(
        simulate(None, scenario(up())), arrivals=100, answered=50, rejected=20, failed=20, cancelled=10
    )
    assert result.availability() == 0.5
    assert result.availability(fallback=0.5) == 0.7
    assert result.availability(fallback=1.0) == 0.9


def test_reopenings_by_failed_probes_are_no_trips_and_those_of_the_ramp_are() -> None:
    history = History()
    course: list[tuple[State, str | None]] = [
        (State.OPEN, None),
        (State.HALF_OPEN, "probing"),
        (State.OPEN, None),
        (State.HALF_OPEN, "probing"),
        (State.HALF_OPEN, "ramping"),
        (State.OPEN, None),
        (State.HALF_OPEN, "probing"),
        (State.CLOSED, None),
    ]
    for second, (state, phase) in enumerate(course):
        history.note(float(second), state, phase)
    assert history.openings == [0.0, 2.0, 5.0]
    assert history.trips == [0.0, 5.0]
    assert history.closed_at == 7.0


def test_the_table_has_a_row_for_each_policy_and_explains_its_columns(
    results: dict[str, SimulationResult],
) -> None:
    head, *rows = table(results).splitlines()
    assert [row.split()[0] for row in rows] == list(POLICIES)
    assert len({len(line) for line in (head, *rows)}) == 1
    for word in ("leaked", "needless", "re-trips", "still open"):
        assert word in head
        assert word in LEGEND


def test_csv_gives_the_figures_back(results: dict[str, SimulationResult]) -> None:
    without, guarded = csv.DictReader(io.StringIO(as_csv(results.items())))
    assert (without["scenario"], without["policy"], guarded["policy"]) == ("<outage>", "none", "<three>")
    assert int(guarded["leaked"]) == results["<three>"].leaked
    assert without["time_to_open_median"] == ""
    assert 0 < float(guarded["time_to_open_first"]) <= float(guarded["time_to_open_last"])
    assert (without["circuits"], guarded["circuits"], guarded["store_peak"]) == ("none", "own", "")


def test_the_chart_is_xml_with_a_line_per_policy_in_each_panel(results: dict[str, SimulationResult]) -> None:
    root = ElementTree.fromstring(chart(results, OUTAGE))
    svg = "{http://www.w3.org/2000/svg}"
    panels = root.findall(f"{svg}g")
    assert len(panels) == 3
    for panel in panels:
        assert [path.get("class") for path in panel.findall(f"{svg}path")] == ["series s0", "series s1"]
        assert len(panel.findall(f"{svg}rect[@class='fault']")) == 1
    assert "<three>" in [text.text for text in root.iter(f"{svg}text")]


def test_with_a_store_table_csv_and_chart_say_what_was_asked_of_it() -> None:
    store = SharedStore(outages=[(30.0, 60.0)])
    shared = compare(POLICIES, OUTAGE, processes=5, store=store)
    head, without, guarded = table(shared).splitlines()
    use = shared["<three>"].store
    assert use is not None
    assert head.endswith("store/s mean/peak  lost it")
    assert without.endswith("-        -")
    assert guarded.endswith(f"{use.commands_per_second:.0f} / {use.peak}        5")
    for word in ("store/s", "lost it"):
        assert word in STORE_LEGEND
    row = list(csv.DictReader(io.StringIO(as_csv(shared.items()))))[1]
    assert (row["circuits"], row["degraded"]) == ("shared", "5")
    assert int(row["store_peak"]) == use.peak
    names = [text.text for text in ElementTree.fromstring(chart(shared, OUTAGE)).iter()]
    assert "commands per second at the store" in names
    assert "share of the circuits that are open" in names


def test_a_poisoned_process_is_shown_as_a_fault() -> None:
    poison = scenario(up(), up(node_fault=NodeFault(0.1)))
    assert 'class="fault"' in chart({"none": simulate(None, poison, processes=2)}, poison)


def test_more_policies_than_colours_are_refused(results: dict[str, SimulationResult]) -> None:
    with pytest.raises(ValueError, match=f"1 to {MOST}"):
        chart({}, OUTAGE)
    with pytest.raises(ValueError, match=f"1 to {MOST}"):
        chart({str(number): results["none"] for number in range(MOST + 1)}, OUTAGE)
