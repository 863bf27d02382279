#!/usr/bin/env python3
"""Writes the seeds of fuzz_secrets: beginnings of tokens, names that announce secrets, key blocks. Bytes 1, 2 and 3 become
generated text in the fuzz program (fuzz/secrets_fuzz.cpp), so no seed holds anything that looks like a secret."""
import pathlib

folder = pathlib.Path(__file__).parent / "secrets"
folder.mkdir(exist_ok=True)
D = b"-" * 5

SEEDS = {
    "tokens": b"AKIA\x01 ASIA\x01 ghp_\x02 github_pat_\x02 glpat-\x01 xoxb-\x02 AIza\x03 GOCSPX-\x01 ya29.\x02 sk_live_\x01\n"
              b"sk-\x02 sk-ant-\x02 hf_\x03 npm_\x03 pypi-AgE\x02 dckr_pat_\x01 dop_v1_\x02 shpat_\x03 hvs.\x02 SG.\x01.\x02\n",
    "web-token": b"'eyJ\x01.eyJ\x02.\x02'",
    "assigned": b"password = \"\x01\"\napi_key: \x01\n\"secret\": \"\x02\"\nos.environ['TOKEN'] = '\x03'\npwd: str = b'\x01'\n",
    "placeholders": b"password = \"changeme\"\ntoken = \"<your key>\"\nsecret: ${VAULT}\napi_key='xxxxxxxxxxxxxxxxxxxx'\n",
    "url": b"https://ann:\x01@host/x postgres://u:p@h redis://:\x01@h https://${A}:${B}@h\n",
    "headers": b"Authorization: Bearer \x02\nAuthorization: Basic dTpwYXNz\n\"auth\": \"\x02\"\n//host/:_authToken=\x01\n",
    "key-block": D + b"BEGIN RSA PRIVATE KEY" + D + b"\nProc-Type: 4,ENCRYPTED\n\n\x02\n" + D + b"END RSA PRIVATE KEY" + D,
    "key-in-json": b"{\"k\": \"" + D + b"BEGIN PRIVATE KEY" + D + b"\\n\x02\\n\"}",
    "connection": b"AccountKey=\x02\x01==;SharedAccessKey=\x03=\nhooks.slack.com/services/T0/B0/\x01\n1234567890:AA\x01abcdefghijklm\n",
    "encoded": b"key: LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQ\x02\nPrivate-Lines: 3\n\x02\n",
    "newlines": b"a\r\nb\rc\n\r\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbb\xbf\x00",
    "names": b"credentials-prod.json\n.env.yaml\nserver.key.txt\n",
}
for name, text in SEEDS.items():
    (folder / name).write_bytes(bytes([9 if name == "assigned" else 8]) + text)
(folder / "long-lines").write_bytes(b"\xff" + SEEDS["placeholders"].replace(b"\n", b" "))
print(f"{len(SEEDS) + 1} seeds")
