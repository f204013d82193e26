//! Pages of a list: `?page=0&itemsPerPage=100`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::source::ApiError;
use super::whole::{Listed, Missing};

/// Which page is wanted, as it stands in the query.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageQuery {
    page: Option<String>,
    items_per_page: Option<String>,
    local: Option<String>,
}

/// One page, how much there is, and who did not say what they have.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    item_count: usize,
    page_count: usize,
    items: Vec<Value>,
    #[serde(skip_serializing_if = "Missing::is_empty")]
    missing_nodes: Missing,
}

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    page: usize,
    per_page: usize,
}

impl PageQuery {
    /// What is wanted, if that makes sense.
    pub(super) fn window(&self) -> Result<Window, ApiError> {
        let per_page = number(self.items_per_page.as_deref())?.unwrap_or(ITEMS_PER_PAGE);
        if per_page == 0 {
            return Err(ApiError::BadRequest("invalid items per page".into()));
        }
        Ok(Window { page: number(self.page.as_deref())?.unwrap_or(0), per_page })
    }

    /// Whether only this node is asked.
    pub(super) fn is_local(&self) -> bool {
        is_set(self.local.as_deref())
    }
}

impl Window {
    /// How many to leave out, and how many to take. A page beyond the last is empty.
    pub(super) const fn range(self) -> (usize, usize) {
        (self.page.saturating_mul(self.per_page), self.per_page)
    }

    /// The page.
    pub(super) fn page(self, Listed { count, items, missing }: Listed) -> Page {
        Page { item_count: count, page_count: count.div_ceil(self.per_page), items, missing_nodes: missing }
    }
}

/// `1`, `true` or `yes`.
pub(super) fn is_set(value: Option<&str>) -> bool {
    matches!(value, Some("1" | "true" | "yes"))
}

/// Nothing counts as absent. Numbers have 31 bits, as in MediaMTX.
fn number(text: Option<&str>) -> Result<Option<usize>, ApiError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && *number <= i32::MAX as usize);
    number.map(Some).ok_or_else(|| ApiError::BadRequest(format!("invalid number {text:?}")))
}

/// Items of a page when the query does not say.
const ITEMS_PER_PAGE: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(page: &str, per_page: &str) -> Result<(usize, usize, Vec<u8>), String> {
        let query = PageQuery { page: Some(page.into()), items_per_page: Some(per_page.into()), local: None };
        let window = query.window().map_err(|error| error.to_string())?;
        let (skip, take) = window.range();
        let items = (0..5).skip(skip).take(take).map(Value::from).collect();
        let page = window.page(Listed { count: 5, items, missing: Missing::new() });
        let items = page.items.iter().filter_map(Value::as_u64).map(|item| item as u8).collect();
        Ok((page.item_count, page.page_count, items))
    }

    #[test]
    fn pages() {
        assert_eq!(cut("", ""), Ok((5, 1, vec![0, 1, 2, 3, 4])));
        assert_eq!(cut("1", "2"), Ok((5, 3, vec![2, 3])));
        assert_eq!(cut("2", "2"), Ok((5, 3, vec![4])));
        assert_eq!(cut("3", "2"), Ok((5, 3, vec![])));
        assert_eq!(cut("2147483647", "2147483647"), Ok((5, 1, vec![])));
        assert_eq!(cut("0", "0"), Err("invalid items per page".into()));
        for (page, per_page) in [("-1", "1"), ("x", "1"), ("+1", "1"), ("0", "2147483648"), ("0", "1.5")] {
            assert!(cut(page, per_page).unwrap_err().starts_with("invalid number"), "{page} {per_page}");
        }
        let empty = PageQuery::default().window().unwrap().page(Listed::default());
        assert_eq!((empty.item_count, empty.page_count), (0, 0));
    }
}
