//! Form bodies in three views.
