//! The inbox on an embedded SQLite.
