from __future__ import annotations

import sys

import pytest

from benches import relay
from benches.load import ClientTransport, Form, Traffic
from benches.relay import Row, Sample, Trial
from benches.servers import Coturn, Icelane


def a_sample(cost: float, delivered: float = 1000.0) -> Sample:
    return Sample(
        cpu_us_per_packet=cost,
        delivered_per_second=delivered,
        offered_per_second=1000.0,
        loss=0.0,
        p50_us=10,
        p99_us=20,
        others_share=0.0,
    )


TRAFFIC = Traffic(payload=172, flows=64, burst=1, packets_per_second=60_000)


def test_a_server_that_cannot_hold_the_rate_is_measured_at_80_percent_of_what_it_carried() -> None:
    trial = Trial(server=Icelane(name="ours"), traffic=TRAFFIC)
    trial.warm_up.extend([a_sample(5.0, delivered=20_000), a_sample(5.0, delivered=30_000)])
    trial.back_off()
    assert trial.carries == 30_000
    assert trial.traffic.packets_per_second == 24_000


def test_ratios_are_taken_to_the_better_of_the_reference_rows() -> None:
    trials = [
        Trial(server=Coturn(name="default", is_reference=True), traffic=TRAFFIC, samples=[a_sample(9.0)]),
        Trial(server=Coturn(name="best", is_reference=True), traffic=TRAFFIC, samples=[a_sample(6.0)]),
        Trial(server=Icelane(name="ours"), traffic=TRAFFIC, samples=[a_sample(3.0)]),
    ]
    row = Row(link="veth", traffic=TRAFFIC, trials=trials)
    assert row.reference("cpu_us_per_packet", smallest=True) == 6.0
    assert row.reference("cpu_us_per_packet", smallest=False) == 9.0
    assert Row(link="veth", traffic=TRAFFIC, trials=trials[2:]).reference("loss", smallest=True) is None


def test_budgets_stand_beside_the_traffic_that_they_are_about() -> None:
    assert relay.budget(TRAFFIC) == "0.8, then 0.5"
    assert relay.budget(Traffic(payload=172, flows=1, burst=8, packets_per_second=20_000)) == "0.6, then 0.4"
    assert relay.budget(TRAFFIC, 0.75) == "0.8, then 0.5 (1.5x)"
    assert relay.budget(TRAFFIC.at(20_000)) == ""
    over_tcp = Traffic(
        payload=172, flows=1, burst=8, packets_per_second=20_000, transport=ClientTransport.TCP, form=Form.CHANNEL
    )
    assert relay.budget(over_tcp) == ""


def test_a_choice_of_no_row_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["relay", "--only", "nosuch"])
    with pytest.raises(SystemExit) as ended:
        relay.main()
    assert ended.value.code == 2
    assert "no row's name contains 'nosuch'" in capsys.readouterr().err


def test_the_headline_set_takes_less_than_a_quarter_of_an_hour_with_three_servers() -> None:
    plan = relay.headline()
    runs = (len(plan.rows) + len(plan.loopback_rows)) * plan.rounds * 3
    assert runs * (plan.seconds + relay.OVERHEAD_SECONDS) < 15 * 60
