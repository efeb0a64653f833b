//! Channels that are configuration alone: as a user writes them, read by the program, judged by published
//! vectors, by the platforms' own SDKs, and by the whole gateway.

mod custom {
    mod definitions;
    mod documented;
    mod gateway;
    mod mistakes;
    mod sdk;
    mod trial;
    mod vectors;
    pub(crate) mod written;
}
