//! Pages of a list: `?page=0&itemsPerPage=100`.

use serde::{Deserialize, Serialize};

use super::source::ApiError;

/// Which page is wanted, as it stands in the query.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageQuery {
    page: Option<String>,
    items_per_page: Option<String>,
}

/// One page, and how much there is.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page<T> {
    item_count: usize,
    page_count: usize,
    items: Vec<T>,
}

impl PageQuery {
    /// Cuts the wanted page out of all items. A page beyond the last is empty.
    pub(super) fn cut<T>(&self, items: Vec<T>) -> Result<Page<T>, ApiError> {
        let per_page = number(self.items_per_page.as_deref())?.unwrap_or(ITEMS_PER_PAGE);
        if per_page == 0 {
            return Err(ApiError::BadRequest("invalid items per page".into()));
        }
        let page = number(self.page.as_deref())?.unwrap_or(0);
        let item_count = items.len();
        let skipped = page.saturating_mul(per_page);
        let items = items.into_iter().skip(skipped).take(per_page).collect();
        Ok(Page { item_count, page_count: item_count.div_ceil(per_page), items })
    }
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
        let query = PageQuery { page: Some(page.into()), items_per_page: Some(per_page.into()) };
        let page = query.cut((0..5).collect()).map_err(|error| error.to_string())?;
        Ok((page.item_count, page.page_count, page.items))
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
        let empty = PageQuery::default().cut(Vec::<u8>::new()).unwrap();
        assert_eq!((empty.item_count, empty.page_count), (0, 0));
    }
}
