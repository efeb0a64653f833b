//! `sample`: a genuine callback for `curl -K -`, of a channel that `init` configured with test keys, of one whose own
//! configured secret signs, or of a described platform whose public key is a test key for as long as somebody tries it.

use std::fs;
use std::io;

use anyhow::{Context as _, bail};
use tollbell_channels::channel::Verdict;
use tollbell_channels::model::{EventKind, RawRequest};
use tollbell_channels::simulate::Story;
use zeroize::Zeroizing;

use super::context::Context;
use super::keep::{self, Existing};
use super::{ExitCode, OK, SampleArgs, init, show};
use crate::app;
use crate::clock;
use crate::config::{ChannelConfig, Config};
use crate::messages::Message;

/// Serials after which the ways of every platform's other side come again.
const WAYS: u64 = 8;

pub(super) fn run(context: &mut Context<'_>, args: &SampleArgs) -> anyhow::Result<ExitCode> {
    let config = context.config()?;
    let channel = config.channels.iter().find(|channel| &*channel.id == args.channel.as_str()).with_context(|| {
        let known: Vec<&str> = config.channels.iter().map(|channel| &*channel.id).collect();
        let message = Message::new("error.unknown_channel").with("name", &args.channel);
        context.text(&message.with("known", known.join(", ")))
    })?;
    if args.new_keys {
        return new_keys(context, &config, channel);
    }
    let request = match channel.platform.mirror.map(|mirror| mirror(&channel.settings)) {
        None => with_test_keys(context, &config, channel, args)?,
        // The platform can do with a secret, and this channel does without: its keys are the platform's alone.
        Some(Err(error)) if ["missing", "not_supported"].contains(&error.word) => {
            with_test_keys(context, &config, channel, args)?
        }
        Some(mirror) => {
            let mirror = mirror.with_context(|| format!("channel `{}`", channel.id))?;
            let story = story(context, channel, &mirror.stories(), args)?;
            mirror.callback(&story)
        }
    };
    let bytes = match args.format.as_str() {
        "body" => request.body.to_vec(),
        "http" => show::raw_bytes(&request),
        _ => curl_config(&request, &format!("http://{}{}", reachable(&config.server.listen), path_of(channel))),
    };
    context.out.write_all(&bytes).context("print")?;
    Ok(OK)
}

/// Signed with the keys that `init` or `--new-keys` left beside the configuration, in the first way that the channel
/// accepts: where a platform signs in several, the story's serial decides which. A channel that trusts other keys
/// accepts none, and who asked is told so.
fn with_test_keys(
    context: &mut Context<'_>,
    config: &Config,
    channel: &ChannelConfig,
    args: &SampleArgs,
) -> anyhow::Result<RawRequest> {
    let (mut side, is_fitted) = app::other_side(channel);
    let keys = app::test_keys_path(&config.folder, &channel.id);
    let public = app::test_public_path(&config.folder, &channel.id);
    let about = |key| Message::new(key).with("channel", &channel.id).with("path", keys.display());
    let unreadable = |why: &dyn std::fmt::Display| {
        context.text(&Message::new("sample.bad_keys").with("path", keys.display()).with("why", why))
    };
    let exported = match fs::read(&keys) {
        Ok(exported) => Zeroizing::new(exported),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!(context.text(&about(if is_fitted { "sample.no_own_keys" } else { "sample.no_keys" })))
        }
        Err(error) => bail!(unreadable(&error)),
    };
    if let Err(problem) = side.import(&exported) {
        bail!(unreadable(&problem));
    }
    let story = story(context, channel, side.stories(), args)?;
    let ways = story.serial..story.serial.saturating_add(WAYS);
    let mut refused = None;
    for serial in ways {
        let request = side.callback(&Story { serial, ..story.clone() }).request;
        let Verdict::Refused(rejection) = channel.channel.verify(&request, story.at) else { return Ok(request) };
        refused.get_or_insert((request, rejection));
    }
    let (request, rejection) = refused.context("a way to sign")?;
    let why = rejection.to_string();
    let message = about(if is_fitted { "sample.not_trusted" } else { "sample.refused" }).with("why", why);
    writeln!(context.err, "{}", context.text(&message.with("public", public.display())))?;
    Ok(request)
}

/// Makes the keys of a platform that the configuration describes: the private half for later samples, and the public one
/// as the channel's `public_key` wants it. Overwrites nothing.
fn new_keys(context: &mut Context<'_>, config: &Config, channel: &ChannelConfig) -> anyhow::Result<ExitCode> {
    let (side, is_fitted) = app::other_side(channel);
    if !is_fitted {
        return Err(context.usage(&Message::new("sample.keys_of_init")));
    }
    let settings = side.settings();
    let Some(material) = settings.key("public_key") else {
        return Err(context.usage(&Message::new("sample.needs_no_keys").with("channel", &channel.id)));
    };
    let keys = app::test_keys_path(&config.folder, &channel.id);
    let public = app::test_public_path(&config.folder, &channel.id);
    let files = [(&keys, Zeroizing::new(side.export())), (&public, Zeroizing::new(material.to_vec()))];
    if let Some((path, _)) = files.iter().find(|(path, _)| fs::symlink_metadata(path).is_ok()) {
        bail!(context.text(&Message::new("init.exists").with("path", path.display())));
    }
    for (path, bytes) in &files {
        let doing = || context.text(&Message::new("doing.create").with("path", path.display()));
        keep::write(path, bytes, init::OWNER_ONLY, Existing::Refuse).with_context(doing)?;
    }
    let done = Message::new("sample.new_keys").with("channel", &channel.id).with("path", keys.display());
    context.tell(&done.with("public", public.display()))?;
    Ok(OK)
}

/// What the callback shall say.
fn story(
    context: &Context<'_>,
    channel: &ChannelConfig,
    stories: &[EventKind],
    args: &SampleArgs,
) -> anyhow::Result<Story> {
    // A payment, where nothing else is asked for, or what this platform tells at all.
    let usual = Some(EventKind::PaymentSucceeded).filter(|kind| stories.contains(kind)).or(stories.first().copied());
    let word = args.event.as_deref().unwrap_or(usual.map_or("", EventKind::as_str));
    let kind = EventKind::parse(word).filter(|kind| stories.contains(kind));
    let Some(kind) = kind else {
        let known: Vec<&str> = stories.iter().map(|kind| kind.as_str()).collect();
        let message = Message::new("sample.no_story").with("event", word).with("known", known.join(", "));
        return Err(context.usage(&message));
    };
    let at = clock::system()();
    let order_no = args.order_no.clone().unwrap_or_else(|| format!("T{}", at.as_millisecond()));
    let mut story = Story::paid(&order_no, args.amount_minor, at);
    story.kind = kind;
    story.path = Some(path_of(channel));
    story.serial = u64::try_from(at.as_millisecond()).unwrap_or_default();
    if kind == EventKind::RefundSucceeded {
        story.refunded_minor = if args.refunded_minor > 0 { args.refunded_minor } else { args.amount_minor };
        story.refund_no = Some(format!("R{}", at.as_millisecond()));
    }
    Ok(story)
}

/// The path that a sample is sent to, and that a protocol which signs paths signs.
fn path_of(channel: &ChannelConfig) -> String {
    format!("/notify/{}", channel.id)
}

/// An address that can be called: one that listens everywhere listens on loopback too.
fn reachable(listen: &[std::net::SocketAddr]) -> String {
    listen.first().map_or_else(String::new, |address| {
        let mut address = *address;
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        address.to_string()
    })
}

/// A configuration for curl, which it reads by `curl -K -`.
fn curl_config(request: &RawRequest, url: &str) -> Vec<u8> {
    let mut config = Vec::new();
    let mut line = |name: &str, value: &[u8]| {
        config.extend_from_slice(name.as_bytes());
        config.extend_from_slice(b" = \"");
        for byte in value {
            match byte {
                b'\\' => config.extend_from_slice(b"\\\\"),
                b'"' => config.extend_from_slice(b"\\\""),
                b'\n' => config.extend_from_slice(b"\\n"),
                b'\r' => config.extend_from_slice(b"\\r"),
                b'\t' => config.extend_from_slice(b"\\t"),
                other => config.push(*other),
            }
        }
        config.extend_from_slice(b"\"\n");
    };
    let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    line("url", format!("{url}{query}").as_bytes());
    line("request", request.method.as_str().as_bytes());
    for (name, value) in &request.headers {
        if name == http::header::CONTENT_LENGTH || name == http::header::HOST {
            continue;
        }
        let header = [name.as_str().as_bytes(), b": ", value.as_bytes()].concat();
        line("header", &header);
    }
    // Nothing to send is not the same as an empty form, which curl would announce.
    if !request.body.is_empty() {
        // curl reads a file where `data-binary` begins with `@`; `data-raw` takes every text as it is.
        let way = if request.body.starts_with(b"@") { "data-raw" } else { "data-binary" };
        line(way, &request.body);
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_line_ends_survive_the_curl_configuration() {
        let request = RawRequest {
            method: http::Method::POST,
            path: "/".into(),
            query: Some("a=1".into()),
            headers: http::HeaderMap::new(),
            body: bytes::Bytes::from_static(b"a=\"b\"\\\n"),
            source: None,
            received_at: jiff::Timestamp::UNIX_EPOCH,
        };
        let text = String::from_utf8(curl_config(&request, "http://h/")).unwrap();
        assert_eq!(text, "url = \"http://h/?a=1\"\nrequest = \"POST\"\ndata-binary = \"a=\\\"b\\\"\\\\\\n\"\n");
        let asked = RawRequest { method: http::Method::GET, body: bytes::Bytes::new(), ..request.clone() };
        let text = String::from_utf8(curl_config(&asked, "http://h/")).unwrap();
        assert_eq!(text, "url = \"http://h/?a=1\"\nrequest = \"GET\"\n");
        let file = RawRequest { body: bytes::Bytes::from_static(b"@/etc/passwd"), ..request };
        assert!(String::from_utf8(curl_config(&file, "http://h/")).unwrap().ends_with("data-raw = \"@/etc/passwd\"\n"));
    }
}
