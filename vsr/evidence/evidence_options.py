"""What is wanted of a record."""

from dataclasses import dataclass

from vsr.errors import ConfigError


@dataclass(frozen=True)
class EvidenceOptions:
    """How a record is made of what is done to a file."""

    evidence: str = ""
    """Record everything in this folder, which must be new or empty: hashes of the source and of every frame, a log
    of each step, a report for people. Of several inputs each has a folder in it, of an archive as NAME.evidence where
    the result lies in its own; its results' folder may be named."""
    case: str = ""
    """Text that the record names: a case number, who asked, who is at work."""
    copy_source: bool = False
    """Copy the source into the folder, too, below source/, and check the copy's hash."""
    sign: str = ""
    """What signs the record: a private key's file, as `vsr evidence key` makes one, or exec:PROGRAM, which is called
    with the word public or sign."""
    timestamp: str = ""
    """Address of an authority that stamps the record's time (RFC 3161); it gets a hash alone."""
    credentials: str = ""
    """Certificates in PEM, the own one first, by which the result gets content credentials (C2PA); those of mkv and
    webm lie beside it, as NAME.c2pa."""
    credentials_key: str = ""
    """Private key of the first of them, in PEM."""
    allow_generative: bool = False
    """Let models paint what is not in the source, or that nothing is known of; all is marked as such."""

    def __post_init__(self) -> None:
        if bool(self.credentials) != bool(self.credentials_key):
            raise ConfigError("credentials and credentials-key belong together; give both")
        if not self.evidence and any(vars(self).values()):
            raise ConfigError(
                "case, copy-source, sign, timestamp, credentials and allow-generative are of a record; give evidence"
            )
