//! The one way out against real listeners: what it dials, what it reads, and what it says after a failure.

mod egress {
    mod answers;
    mod connections;
    mod names;
    mod tls;
    mod world;
}
