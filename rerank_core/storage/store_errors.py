"""What a store said, in our words: which object stores refuse for good, and what to do.

Messages of an object store's own are not passed on, because they may repeat what was sent.
"""

import os
import re

from rerank_core.errors import RerankError, SettingsError, StoreUnavailable

# By the code that Arrow gives: what is wrong, and what to do.
REFUSED = {
    "NO_SUCH_BUCKET": ("the bucket does not exist", "create it, or correct RERANK_STORE_URL"),
    "ACCESS_DENIED": (
        "access denied",
        "let these credentials list, get, put and delete here (s3:ListBucket, s3:GetObject, s3:PutObject,"
        " s3:DeleteObject)",
    ),
    "INVALID_ACCESS_KEY_ID": ("the access key is not known", "correct AWS_ACCESS_KEY_ID"),
    "SIGNATURE_DOES_NOT_MATCH": ("the secret key is wrong", "correct AWS_SECRET_ACCESS_KEY"),
}
_NO_CREDENTIALS = (
    "access denied, and there are no credentials in AWS_ACCESS_KEY_ID",
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the host a role that may list, get, put and"
    " delete here",
)
_WRONG_REGION = (
    "the bucket is in another region",
    "set AWS_REGION, or add ?region=… to RERANK_STORE_URL",
)
_SAYS_REGION = re.compile(
    r"HTTP status 30[17]|AuthorizationHeaderMalformed|PERMANENT_REDIRECT|configured region"
)
_CODE = re.compile(r"AWS Error ([A-Z_]+)|google::cloud::Status\(([A-Z_]+)")


def explain(error: OSError, where: str, is_local: bool, has_credentials: bool) -> RerankError:
    """The error in our words; permanent if the same request fails again. `where` names the store and the path."""
    said = str(error)
    if is_local:
        return StoreUnavailable(
            f"{where}: {error.strerror or error}; check that the folder is writable and not full"
        )
    found = _CODE.search(said)
    code = (found[1] or found[2]) if found else "NO_ANSWER"
    refused = REFUSED.get(code)
    if _SAYS_REGION.search(said):
        refused = _WRONG_REGION
    elif code == "ACCESS_DENIED" and not (has_credentials or "AWS_ACCESS_KEY_ID" in os.environ):
        refused = _NO_CREDENTIALS
    if refused is not None:
        return SettingsError(f"{where}: {'; '.join(refused)}")
    status = re.search(r"HTTP status \d+", said)
    reason = status[0] if status else code.lower().replace("_", " ")
    return StoreUnavailable(f"{where}: {reason}; check the endpoint, the network and the region")
