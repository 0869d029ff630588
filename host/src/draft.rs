// SPDX-License-Identifier: Apache-2.0
//! Prompt look-up drafting: what came after the last tokens when they stood there before.

/// Most tokens that have to be equal; fewer are tried when there is no such place.
const LONGEST: usize = 3;

/// At most `most` tokens that may come after `tokens`: those behind the latest earlier place where the last three, two or one
/// of them stand. Empty when there is none.
#[must_use]
pub fn ngram_draft(tokens: &[u32], most: usize) -> Vec<u32> {
    for length in (1..=LONGEST.min(tokens.len())).rev() {
        let last = &tokens[tokens.len() - length..];
        let earlier = tokens[..tokens.len() - 1].windows(length).rposition(|window| window == last);
        if let Some(place) = earlier {
            return tokens[place + length..].iter().copied().take(most).collect();
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_match_and_the_latest_of_them_decide() {
        assert_eq!(ngram_draft(&[1, 2, 3, 9, 4, 3, 8, 1, 2, 3], 2), [9, 4]);
        assert_eq!(ngram_draft(&[5, 3, 9, 6, 3, 8, 7, 3], 4), [8, 7, 3]);
    }

    #[test]
    fn what_never_stood_there_drafts_nothing() {
        assert!(ngram_draft(&[1, 2, 3], 4).is_empty());
        assert!(ngram_draft(&[], 4).is_empty());
        assert_eq!(ngram_draft(&[7, 7], 4), [7]);
    }
}
