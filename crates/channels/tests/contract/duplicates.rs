//! A parameter given twice could be read in two ways by two readers, so it is refused.

use tollbell_channels::simulate::Cover;

use super::form::{Style, read, write};
use super::world::{with_body, worlds};

#[test]
fn a_pair_given_twice_is_refused() {
    for world in worlds() {
        for (story, genuine) in world.callbacks() {
            if !matches!(genuine.cover, Cover::Pairs(_)) {
                continue;
            }
            let pairs = read(&genuine.request.body);
            for (name, value) in &pairs {
                let other = [value.as_slice(), b"1"].concat();
                for (what, value) in [("same", value.as_slice()), ("other", &other), ("empty", b"")] {
                    for style in [Style::Usual, Style::Everything] {
                        let twin = write(&[(name.clone(), value.to_vec())], style);
                        let label = format!("{}: {what} `{}`", story.kind, String::from_utf8_lossy(&twin));
                        let behind = [&genuine.request.body, b"&".as_slice(), &twin].concat();
                        let before = [&twin, b"&".as_slice(), &genuine.request.body].concat();
                        world.refuses_as(&label, &with_body(&genuine.request, behind), &["duplicate_field"]);
                        world.refuses_as(&label, &with_body(&genuine.request, before), &["duplicate_field"]);
                    }
                }
            }
        }
    }
}

#[test]
fn a_pair_given_many_times_is_refused() {
    for world in worlds() {
        let genuine = world.callback();
        if !matches!(genuine.cover, Cover::Pairs(_)) {
            continue;
        }
        let thrice = [&genuine.request.body[..], &genuine.request.body, &genuine.request.body].join(&b'&');
        world.refuses_as("the whole form thrice", &with_body(&genuine.request, thrice), &["duplicate_field"]);
    }
}
