"""Who published a bundle: an Ed25519 signature over its manifest, and so over every byte that the manifest hashes.

    openssl genpkey -algorithm ed25519 -out signing.pem       # stays with whoever publishes
    openssl pkey -in signing.pem -pubout -out public.pem      # goes to every service

The signature is the 64 bytes of `manifest.sig` beside the manifest. Source: RFC 8032.
"""

from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from feature_repo.errors import BundleError, SettingsError
from training.packaging.bundle import Bundle

__all__ = ["read_public_keys", "require_signature", "sign"]

_END = b"-----END PUBLIC KEY-----"
_MOST_BYTES = 2**16


def read_public_keys(path: Path) -> list[Ed25519PublicKey]:
    """Return the keys in a PEM file; several may follow each other, so that an old and a new one can overlap.

    Raises:
        SettingsError: the file cannot be read, or holds anything but Ed25519 public keys.
    """
    data = _read(path)
    blocks = [part + _END for part in data.split(_END)[:-1]]
    try:
        keys = [load_pem_public_key(block) for block in blocks]
    except (ValueError, UnsupportedAlgorithm):
        keys = []
    found = [key for key in keys if isinstance(key, Ed25519PublicKey)]
    if not found or len(found) != len(keys):
        raise SettingsError(
            f"{path} holds no Ed25519 public key; expected PEM. Make one with `openssl pkey -in KEYFILE -pubout`."
        )
    return found


def sign(bundle: Bundle, key_file: Path) -> bytes:
    """Return the signature of a bundle by the private key in `key_file`; the same inputs give the same bytes.

    Raises:
        SettingsError: the file holds no Ed25519 private key in PEM, or one behind a password.
    """
    try:
        key = load_pem_private_key(_read(key_file), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(
            f"{key_file} holds no Ed25519 private key; expected PEM without a password. Make one with "
            "`openssl genpkey -algorithm ed25519`."
        )
    return key.sign(bundle.manifest_bytes)


def require_signature(bundle: Bundle, keys: Sequence[Ed25519PublicKey]) -> None:
    """Refuse a bundle that none of `keys` signed.

    Raises:
        BundleError: it is not signed, or by somebody else.
    """
    if bundle.signature is None:
        raise BundleError(
            f"Bundle {bundle.tag} is not signed; expected a signature, for public keys are configured. Publish it "
            "with `intent publish --sign KEYFILE`, and with --ranking as before."
        )
    for key in keys:
        try:
            key.verify(bundle.signature, bundle.manifest_bytes)
        except InvalidSignature:
            continue
        return
    raise BundleError(
        f"Bundle {bundle.tag} is signed by none of the {len(keys)} configured keys. Publish it with the right "
        "`--sign KEYFILE`, or add its public key to the service's."
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES)
    except OSError as error:
        raise SettingsError(f"Key file {path} cannot be read ({error.strerror}); expected a PEM file.") from error
