"""Every network, fitted as training fits it, in a bento that is built and served: the numbers of training over HTTP."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from feature_repo.transforms.customer import customer_features
from intent_cli.bento_server import Bento, free_port, running
from services.client import IntentClient
from services.online_url import SqliteUrl
from tests.online_store import PROJECT, write_online_store
from tests.simulated_examples import HORIZON_DAYS, simulated_examples
from tests.tiny_shop import AT, AT_US, FEATURES, tiny_columns
from training.ensemble.combine import Ensemble, combine
from training.models import member, member_names
from training.models.contract import FitSettings
from training.models.network.member import NetworkMember
from training.packaging.golden import golden_vectors
from training.packaging.publish import publish
from training.packaging.write_bundle import BundleFacts, write_bundle

NETWORKS = [name for name in member_names() if isinstance(member(name), NetworkMember)]
CUSTOMERS = 12
SMALL = {"epochs": 2, "units": 8, "hidden": 8, "batch": 128, "learning_rate": 0.02}


@dataclass(frozen=True)
class Served:
    """What training computes: member → probability of each customer of the shop, and at last of somebody unknown."""

    address: str
    trained: dict[str, np.ndarray]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("networks")
    columns, at_us = tiny_columns(CUSTOMERS)
    known, unknown = customer_features(columns, at_us), customer_features({}, np.array([AT_US]))
    trained, parts = {}, simulated_examples(200)
    for name in NETWORKS:
        declared = {parameter.name for parameter in member(name).parameters}
        told = FitSettings(HORIZON_DAYS, seed=3, parameters={k: v for k, v in SMALL.items() if k in declared})
        fitted = member(name).fit(*parts, told)
        fitted.export(folder / "members" / name)
        trained[name] = np.append(fitted.predict_proba(known), fitted.predict_proba(unknown))
    address = write_and_publish(folder, columns, {name: p[:-1] for name, p in trained.items()})
    with running(address, free_port(), log=folder / "serve.log") as server:
        yield Served(server.address, trained)


def write_and_publish(folder: Path, columns: dict, trained: dict[str, np.ndarray]) -> Bento:
    ensemble = Ensemble("mean", tuple(trained), (1 / len(trained),) * len(trained))
    write_bundle(
        folder / "bundle",
        members=folder / "members",
        ensemble=ensemble.to_json(),
        features=FEATURES,
        golden=golden_vectors(columns, np.full(CUSTOMERS, AT_US), combine(ensemble, trained), trained),
        facts=BundleFacts(3, HORIZON_DAYS, {}, "0" * 64, {}, {}),
    )
    published = publish(folder / "bundle", home=folder / "home")
    write_online_store(folder / "online.db", CUSTOMERS)
    return Bento(published.bento, published.home, SqliteUrl(folder / "online.db", PROJECT))


def test_there_is_one_of_each_kind() -> None:
    assert {"mlp", "sequence_gru", "sequence_lstm", "sequence_transformer"} <= set(NETWORKS)


def test_what_is_served_is_what_was_trained(served: Served) -> None:
    users = [*(f"{number:08d}" for number in range(1, CUSTOMERS + 1)), "nobody we know"]
    with IntentClient(served.address) as client:
        answers = [client.score(user, AT) for user in users]
        batch = client.score_batch(users, AT).scores
    for name, expected in served.trained.items():
        assert np.ptp(expected) > 1e-3, name  # it tells customers apart: the comparison says something
        alone = [answer.members[name].probability for answer in answers]
        together = [answer.members[name] for answer in batch]
        for found in (alone, together):
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5, err_msg=name)
    mean = np.mean(list(served.trained.values()), axis=0)
    np.testing.assert_allclose([one.probability for one in answers], mean, rtol=0, atol=1e-5)
