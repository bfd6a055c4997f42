"""Certificates for tests, made by the openssl program, and contexts of clients that use them."""
import os
import ssl
import subprocess


def openssl(*arguments, data=None):
    result = subprocess.run(["openssl", *arguments], input=data, capture_output=True)
    if result.returncode != 0:
        raise SystemExit(f"openssl {' '.join(arguments)}: {result.stderr.decode()[-500:]}")
    return result.stdout


def tls_server(directory):
    """Options of a server that asks for no certificates, and the context of its clients."""
    authority = Authority(directory)
    certificate, key = authority.issue("server")
    return ({"tls-cert-file": certificate, "tls-key-file": key, "tls-auth-clients": "no"},
            authority.client_context())


class Authority:
    """A certificate authority in a directory: files NAME.crt and NAME.key."""

    def __init__(self, directory, name="ca"):
        self.directory, self.name = directory, name
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                "-keyout", self.key(name), "-out", self.certificate(name), "-subj", f"/CN=Test {name}")

    def certificate(self, name):
        return os.path.join(self.directory, name + ".crt")

    def key(self, name):
        return os.path.join(self.directory, name + ".key")

    @property
    def file(self):
        return self.certificate(self.name)

    def issue(self, name, subject="localhost", kind="ec", password=None, expired=False):
        """A certificate and its key; returns (certificate file, key file)."""
        request, key, certificate = (os.path.join(self.directory, name + end) for end in (".csr", ".key", ".crt"))
        kinds = {"ec": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"]}
        secret = ["-passout", "pass:" + password] if password else ["-nodes"]
        openssl("req", "-newkey", *kinds[kind], *secret, "-keyout", key, "-out", request, "-subj",
                subject if subject.startswith("/") else "/CN=" + subject)
        extensions = os.path.join(self.directory, name + ".ext")
        with open(extensions, "w") as file:
            file.write("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        openssl("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self.key(self.name), "-CAcreateserial",
                "-days", "-1" if expired else "30", "-out", certificate, "-extfile", extensions)
        return certificate, key

    def client_context(self, identity=None, verify=True, version=None):
        """How a client that trusts this authority connects; `identity`: (certificate, key)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if verify:
            context.load_verify_locations(self.file)
        else:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if identity:
            context.load_cert_chain(*identity)
        if version:
            context.minimum_version = context.maximum_version = version
        return context
