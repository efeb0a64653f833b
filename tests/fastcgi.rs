//! The FastCGI target against a real PHP-FPM, and against servers that break the protocol.

mod support {
    pub(crate) mod php_fpm;
}

mod fpm {
    mod ends;
    mod protocol;
    mod scripts;
    mod workers;
    mod world;
}
