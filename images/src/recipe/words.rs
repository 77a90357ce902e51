//! What the words of a recipe may be. Apart from the shape of a recipe, because here they are made safe to become arguments of
//! tools, lines of files and parts of paths; and while TOML is read, so that a refusal has its line.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use targets::{BOARDS, Board};

use crate::scripts;

struct Word(String);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let text = String::deserialize(reader)?;
        let allowed =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '+' | '_' | '-');
        if text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(allowed) {
            return Ok(Self(text));
        }
        let refused = format!("{text:?} may hold only a-z 0-9 . + _ - and must begin with a letter or digit");
        Err(D::Error::custom(refused))
    }
}

pub(super) fn word<'de, D: Deserializer<'de>>(reader: D) -> Result<String, D::Error> {
    Word::deserialize(reader).map(|word| word.0)
}

pub(super) fn one_or_none<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<String>, D::Error> {
    word(reader).map(Some)
}

pub(super) fn words<'de, D: Deserializer<'de>>(reader: D) -> Result<Vec<String>, D::Error> {
    Vec::<Word>::deserialize(reader).map(|words| words.into_iter().map(|word| word.0).collect())
}

pub(super) fn some_words<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<Vec<String>>, D::Error> {
    words(reader).map(Some)
}

pub(super) fn board<'de, D: Deserializer<'de>>(reader: D) -> Result<&'static Board, D::Error> {
    let name = String::deserialize(reader)?;
    let known = || BOARDS.map(|board| board.name).join(", ");
    Board::named(&name)
        .ok_or_else(|| D::Error::custom(format!("no board is named {name:?}; there are: {}", known())))
}

pub(super) fn script<'de, D: Deserializer<'de>>(reader: D) -> Result<String, D::Error> {
    let name = String::deserialize(reader)?;
    if scripts::of_recipes().any(|known| known == name) {
        return Ok(name);
    }
    let known = scripts::of_recipes().collect::<Vec<_>>().join(", ");
    Err(D::Error::custom(format!("no script for recipes is named {name:?}; there are: {known}")))
}

/// A line `NAME:PASSWORD` is made of it.
pub(super) fn password<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(reader)?;
    if text.contains(['\n', ':']) {
        return Err(D::Error::custom("a password may hold neither a colon nor a line end"));
    }
    Ok(Some(text))
}
