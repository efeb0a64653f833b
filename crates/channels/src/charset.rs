//! Charsets that platforms use.
