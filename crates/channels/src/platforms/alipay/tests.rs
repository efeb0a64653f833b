//! Tests of the whole channel.
