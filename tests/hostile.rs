//! Attacks on the whole: hostile peers, hostile text, a failing disk, a meddling operator.

mod support {
    pub(crate) mod gateway;
    pub(crate) mod php_fpm;
}

mod attacks {
    mod disk;
    mod inbox;
    mod operator;
    mod peers;
    mod text;
    mod world;
}
