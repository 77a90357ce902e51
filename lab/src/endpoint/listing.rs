//! Pages of a listing: a page ends after so many items, and its token names the last of them, so that items which
//! come or go between two pages neither repeat nor hide others.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::error::ApiError;

/// One page and the token of the next.
#[derive(Debug)]
pub struct Page {
    /// The items.
    pub items: Vec<Value>,
    /// Where to go on, if anything is left.
    pub next_token: Option<String>,
}

impl Page {
    /// The page as an answer whose items are called `name`.
    #[must_use]
    pub fn answer(self, name: &str) -> Value {
        let mut members = Map::from_iter([(name.to_owned(), Value::Array(self.items))]);
        if let Some(token) = self.next_token {
            members.insert("NextToken".to_owned(), token.into());
        }
        Value::Object(members)
    }
}

/// Cuts the page after `token` out of `items`, which are sorted by the key that stands beside each.
pub fn page(
    listing: &str,
    items: impl Iterator<Item = (String, Value)>,
    max_results: usize,
    token: Option<&str>,
) -> Result<Page, ApiError> {
    let after = token.map(|token| read_token(listing, token)).transpose()?;
    let mut rest = items.skip_while(|(key, _)| after.as_ref().is_some_and(|after| key <= after)).peekable();
    let mut page = Page { items: Vec::new(), next_token: None };
    let mut last = None;
    while page.items.len() < max_results {
        let Some((key, item)) = rest.next() else { break };
        page.items.push(item);
        last = Some(key);
    }
    if rest.peek().is_some() {
        page.next_token = last.map(|key| URL_SAFE_NO_PAD.encode(format!("{listing}:{key}")));
    }
    Ok(page)
}

fn read_token(listing: &str, token: &str) -> Result<String, ApiError> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        Some(text.strip_prefix(listing)?.strip_prefix(':')?.to_owned())
    };
    read().ok_or_else(|| ApiError::client("InvalidNextToken", "The specified token is not valid."))
}

#[cfg(test)]
mod tests {
    use super::page;
    use serde_json::{Value, json};

    fn items(keys: &[&str]) -> impl Iterator<Item = (String, Value)> {
        keys.iter().map(|key| ((*key).to_owned(), json!(key))).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn pages_cover_a_listing_once() {
        let first = page("nodes", items(&["a", "b", "c"]), 2, None).unwrap();
        assert_eq!(first.items, ["a", "b"]);
        let second = page("nodes", items(&["a", "b", "c"]), 2, first.next_token.as_deref()).unwrap();
        assert_eq!(second.items, ["c"]);
        assert_eq!(second.next_token, None);
    }

    #[test]
    fn an_item_deleted_between_pages_does_not_end_the_listing() {
        let first = page("nodes", items(&["a", "b", "c"]), 2, None).unwrap();
        let second = page("nodes", items(&["a", "c"]), 2, first.next_token.as_deref()).unwrap();
        assert_eq!(second.items, ["c"]);
    }

    #[test]
    fn the_token_of_another_listing_is_refused() {
        let first = page("nodes", items(&["a", "b"]), 1, None).unwrap();
        let error = page("activations", items(&["a"]), 1, first.next_token.as_deref()).unwrap_err();
        assert_eq!(error.code, "InvalidNextToken");
    }
}
