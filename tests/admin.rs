//! The admin surface as an operator, a scraper and an intruder on the same machine meet it: the real program, its
//! socket, its tokens, and commands through the running node.

mod support {
    pub(crate) mod gateway;
    pub(crate) mod php_fpm;
}

mod operating {
    mod commands;
    mod door;
    mod restore;
    mod socket;
    mod world;
}
