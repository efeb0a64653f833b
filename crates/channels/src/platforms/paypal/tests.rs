//! The traps of this platform: its checksum, its certificates, its states.
