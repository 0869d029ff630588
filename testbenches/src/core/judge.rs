// SPDX-License-Identifier: Apache-2.0
//! What must have come out.

use tandem_model::control::command::{STATUSES, name_of};
use tandem_model::reference::image::{Image, WORD_BYTES};

use super::driver::Finished;
use crate::bench::WrongAnswer;
use crate::dut::DutError;

/// Holds a run against the untimed interpreter: how each command ended, and every byte of memory outside the host's rings.
///
/// # Errors
/// The first difference.
pub fn judge(
    commands: &[[u64; 8]],
    statuses: &[u8],
    image: &Image,
    finished: &Finished,
) -> Result<(), DutError> {
    let wrong = |what: String| Err(WrongAnswer(what).into());
    for (index, (completion, &status)) in finished.completions.iter().zip(statuses).enumerate() {
        let name = |code: u8| name_of(&STATUSES, code.into()).unwrap_or("an unknown status");
        if completion.status != status {
            let (got, want) = (name(completion.status), name(status));
            return wrong(format!("command {index} ended with {got} instead of {want}"));
        }
        let opcode = commands[index][0].to_le_bytes()[0];
        if completion.opcode != opcode {
            return wrong(format!(
                "completion of command {index}: opcode {} instead of {opcode}",
                completion.opcode
            ));
        }
    }
    for (address, want) in image.words() {
        let (got, _) = finished.contents.read_word(address);
        let known = |i: &usize| want.written >> i & 1 == 1 && want.unknown >> i & 1 == 0;
        if let Some(i) = (0..WORD_BYTES).filter(known).find(|&i| got[i] != want.bytes[i]) {
            return wrong(format!(
                "memory at {:#x}: {:#04x} instead of {:#04x}",
                address + i as u64,
                got[i],
                want.bytes[i]
            ));
        }
    }
    let mut expected = image.words().peekable();
    for (address, written) in finished.contents.written() {
        while expected.next_if(|(at, _)| *at < address).is_some() {}
        let allowed = expected.peek().filter(|(at, _)| *at == address).map_or(0, |(_, word)| word.written);
        if !finished.rings.contains(&address) && written & !allowed != 0 {
            let at = address + u64::from((written & !allowed).trailing_zeros());
            return wrong(format!("memory at {at:#x} was written, which no command was to do"));
        }
    }
    Ok(())
}
