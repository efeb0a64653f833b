//! `resign-key`: makes the key with which a channel's raw deliveries are signed afresh, and writes its public
//! half for the application. Run again, it keeps the key and writes the public half anew.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context as _, bail};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use serde_json::json;
use tollbell_channels::resign::PublicFile;
use tollbell_channels::signature::key::to_pem;
use zeroize::Zeroizing;

use super::context::Context;
use super::keep::{self, Existing};
use super::{ExitCode, OK, ResignKeyArgs};
use crate::app;
use crate::config::signature::is_missing_resign_key;
use crate::messages::{Lang, Message};

pub(super) fn run(context: &mut Context<'_>, args: &ResignKeyArgs) -> anyhow::Result<ExitCode> {
    let config = context.config_excusing(is_missing_resign_key)?;
    let Some(channel) = config.channels.iter().find(|channel| *channel.id == *args.channel) else {
        let known: Vec<&str> = config.channels.iter().map(|channel| &*channel.id).collect();
        let message = Message::new("error.unknown_channel").with("name", &args.channel).with("known", known.join(", "));
        return Err(context.usage(&message));
    };
    let is_named = channel.resign.file.is_some();
    let path = channel.resign.file.clone().unwrap_or_else(|| app::resign_key_path(&config.folder, &channel.id));
    let (key, is_new) = match fs::read(&path) {
        Ok(key) => (Zeroizing::new(key), false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            (new_key().with_context(|| context.text(&Message::new("doing.make_key")))?, true)
        }
        Err(error) => {
            let doing = Message::new("doing.read").with("path", path.display());
            return Err(anyhow::Error::new(error).context(context.text(&doing)));
        }
    };
    // Asked before anything is written: a channel that cannot use a key gets none.
    let resigner = match channel.channel.resigner(&key) {
        Ok(resigner) => resigner,
        Err(error) => {
            let message = Message::dynamic(format!("setting.{}", error.word)).with("setting", error.setting);
            let detail = error.detail.as_deref().map(|detail| format!(" ({detail})")).unwrap_or_default();
            bail!(context.text(&message.with("detail", detail)));
        }
    };
    if is_new {
        keep::write(&path, &key, SECRET_MODE, Existing::Refuse).with_context(|| doing_write(context.lang, &path))?;
    }
    let mut written = Vec::new();
    for file in resigner.public_half() {
        let public = path.with_file_name(public_name(&channel.id, file.name));
        keep::write(&public, &file.content, PUBLIC_MODE, Existing::Replace)
            .with_context(|| doing_write(context.lang, &public))?;
        written.push((public, file));
    }
    if context.is_json {
        let files = written.iter().map(|(path, file)| json!({ "path": path.display().to_string(), "id": file.id }));
        let value = json!({
            "channel": &*channel.id,
            "key_file": path.display().to_string(),
            "is_new": is_new,
            "public": files.collect::<Vec<_>>(),
        });
        context.say_json(&value)?;
        return Ok(OK);
    }
    let made = if is_new { Message::new("resign_key.made") } else { Message::new("resign_key.kept") };
    context.tell(&made.with("path", path.display()))?;
    for (path, file) in &written {
        let line = described(file, path, context.lang);
        context.say(&line)?;
    }
    if !is_named {
        let shown = path.strip_prefix(&config.folder).unwrap_or(&path).display().to_string();
        context.tell(&Message::new("resign_key.next").with("path", shown).with("channel", &channel.id))?;
    }
    Ok(OK)
}

/// The name of a file of a channel's public half.
pub(super) fn public_name(channel: &str, file: &str) -> String {
    format!("{channel}-{file}")
}

/// Who may read the key, and who its public half.
const SECRET_MODE: u32 = 0o600;
const PUBLIC_MODE: u32 = 0o644;

fn described(file: &PublicFile, path: &Path, lang: Lang) -> String {
    let what = match lang {
        Lang::En => file.what.en,
        Lang::Zh => file.what.zh,
    };
    let id = file.id.as_ref().map(|id| format!(" {id}")).unwrap_or_default();
    format!("  {}\n    {what}{id}", path.display())
}

fn doing_write(lang: Lang, path: &Path) -> String {
    Message::new("doing.write").with("path", path.display()).text(lang)
}

/// A fresh key as PEM.
pub(super) fn new_key() -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
    let der: Pkcs8V1Der<'_> = pair.as_der()?;
    Ok(Zeroizing::new(to_pem("PRIVATE KEY", der.as_ref()).into_bytes()))
}
