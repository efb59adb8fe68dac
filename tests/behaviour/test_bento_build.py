"""The bento as an artefact: the same inputs give the same bytes; `bentoml containerize` builds from what is whole."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from intent_cli.bento_server import free_port
from intent_cli.server_process import ServerProcess
from tests.conftest import copy_of_repository
from tests.online_store import PROJECT, write_online_store
from training.packaging.bundle import Bundle
from training.packaging.publish import Published, bentoml_environment, publish

# What BentoML notes of a build: clocks, and the order in which it met the models.
CLOCKS = {"creation_time", "bento_creation_time"}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, key = tmp_path_factory.mktemp("keys"), Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "signing.pem").write_bytes(private)
    (folder / "public.pem").write_bytes(public)
    return folder


@pytest.fixture(scope="module")
def published(tiny_bundle_folder: Path, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Published:
    return publish(tiny_bundle_folder, home=tmp_path_factory.mktemp("home"), key_file=keys / "signing.pem")


def contents(folder: Path) -> dict[str, str]:
    """File → hash of its content, clocks left out."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if path.suffix in (".yaml", ".md"):
                data = "\n".join(
                    line for line in data.decode().splitlines() if not CLOCKS & {line.strip(" -").split(":")[0]}
                ).encode()
            found[path.relative_to(folder).as_posix()] = hashlib.sha256(data).hexdigest()
    return found


def test_the_same_inputs_give_the_same_bento_wherever_and_whenever(
    tiny_bundle_folder: Path, published: Published, keys: Path, tmp_path: Path
) -> None:
    """Another copy of the sources, other times of the files, another home: the same tags and the same bytes."""
    copy_of_repository(tmp_path / "elsewhere")
    for path in (tmp_path / "elsewhere" / "services").glob("*.py"):
        os.utime(path, (1, 1))
    again = publish(
        tiny_bundle_folder,
        home=tmp_path / "home",
        project=tmp_path / "elsewhere",
        key_file=keys / "signing.pem",
    )
    assert (again.model, again.bento) == (published.model, published.bento)
    for kind, tag in (("bentos", again.bento), ("models", again.model)):
        place = Path(kind) / tag.replace(":", "/")
        assert contents(again.home / place) == contents(published.home / place)


def test_a_signature_changes_no_tag_and_is_kept(tiny_bundle_folder: Path, published: Published) -> None:
    stored = published.home / "models" / published.model.replace(":", "/") / "bundle"
    assert Bundle.load(tiny_bundle_folder).tag == published.model
    assert len(Bundle.load(stored).signature or b"") == 64
    assert publish(tiny_bundle_folder, home=published.home).model_is_new is False
    assert len(Bundle.load(stored).signature or b"") == 64  # publishing again without the key takes it from nobody


def test_it_is_the_signature_that_openssl_checks(published: Published, keys: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here")
    stored = published.home / "models" / published.model.replace(":", "/") / "bundle"
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(keys / "public.pem"), "-rawin"]
    command += ["-in", str(stored / "manifest.json"), "-sigfile", str(stored / "manifest.sig")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Signature Verified Successfully" in done.stdout, done.stderr


CONTEXT = """
import shutil, sys
import bentoml
from bentoml._internal.container import construct_containerfile
with construct_containerfile(bentoml.get(sys.argv[1])) as (context, dockerfile):
    shutil.copytree(context, sys.argv[2])
"""


@pytest.fixture(scope="module")
def context(published: Published, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What `bentoml containerize` hands to a container engine: a folder and a Dockerfile."""
    folder = tmp_path_factory.mktemp("image") / "context"
    command = [sys.executable, "-c", CONTEXT, published.bento, str(folder)]
    environment = bentoml_environment(published.home)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return folder, (folder / "env/docker/Dockerfile").read_text()


def test_the_dockerfile_is_sound_as_far_as_can_be_seen_without_an_engine(context: tuple[Path, str]) -> None:
    folder, dockerfile = context
    lines = [line.strip() for line in re.sub(r"\\\n", " ", dockerfile).splitlines()]
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    words = [step[0] for step in steps]
    assert dict(steps)["FROM"].startswith("python:3.11-slim")
    assert words.count("FROM") == 1
    assert "ADD" not in words  # nothing is fetched but packages
    for word, rest in steps:
        if word == "COPY":
            source = rest.split()[-2]
            assert (folder / source).exists(), source
    assert [rest for word, rest in steps if word == "USER"][-1] == "bentoml"  # not root
    installs = next(rest for word, rest in steps if word == "RUN" and "requirements.txt" in rest)
    assert "env/python/requirements.txt" in installs
    assert not re.search(r"(?i)password|secret|token|api_?key", dockerfile)
    entrypoint = folder / "env/docker/entrypoint.sh"
    assert entrypoint.name in dict(steps)["ENTRYPOINT"]
    subprocess.run(["bash", "-n", str(entrypoint)], check=True)


def test_what_goes_into_the_image_is_the_bento_its_model_and_nothing_else(
    context: tuple[Path, str], published: Published
) -> None:
    folder, _ = context
    assert {path.name for path in folder.iterdir()} <= {
        "README.md", "apis", "bento.yaml", "env", "hf-models", "models", "src"
    }  # fmt: skip
    assert Bundle.load(folder / "models" / published.model.replace(":", "/") / "bundle").tag == published.model
    told = yaml.safe_load((folder / "bento.yaml").read_text())
    assert [model["tag"] for model in told["models"]] == [published.model]
    requirements = (folder / "env/python/requirements.txt").read_text()
    pinned = re.findall(r"^([a-z0-9-]+)==\S+ \\$", requirements, re.MULTILINE)
    assert {"bentoml", "cryptography", "onnxruntime", "prometheus-client", "xgboost-cpu"} <= set(pinned)
    assert "--index-url" not in requirements


@pytest.mark.slow
def test_the_image_s_folder_serves_by_itself(context: tuple[Path, str], tmp_path: Path) -> None:
    """As in the container: the folder is served, and BentoML's home holds no model."""
    folder, _ = context
    write_online_store(tmp_path / "online.db")
    port = free_port()
    environment = bentoml_environment(tmp_path / "home")
    environment |= {"INTENT_ONLINE_URL": f"sqlite:///{tmp_path}/online.db?project={PROJECT}"}
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "-m", "bentoml", "serve", str(folder), "--port", str(port)]
    with (tmp_path / "serve.log").open("w") as log:
        server = ServerProcess(command, environment, f"http://127.0.0.1:{port}", log)
        try:
            server.wait_until_ready()
            body = {"user_id": "00000005", "at": "2001-02-19T00:00:00Z"}
            answer = httpx.post(f"{server.address}/score", json=body, trust_env=False, timeout=10)
            assert (answer.status_code, answer.json()["degraded"]) == (200, False)
        finally:
            server.stop()
