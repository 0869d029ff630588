// SPDX-License-Identifier: Apache-2.0
//! Regions of memory: what they hold, and where they lie.

use std::fs;
use std::path::Path;

use tandem_model::array::Geometry;
use tandem_model::memory::types::AXI_BYTES;

use super::file::RegionEntry;
use super::{HOST_BYTES, MOST_ADDRESS, Region, Wrong, generate, hex, wrong};

/// Regions without an address begin at multiples of this, the first at the first.
const PAGE: u64 = 4096;
/// Most bytes of one region.
const MOST_SIZE: u64 = 1 << 30;

/// The regions of a file, by rising address.
pub(super) fn read(entries: &[RegionEntry], folder: &Path, geometry: Geometry) -> Result<Vec<Region>, Wrong> {
    let mut regions: Vec<Region> = Vec::new();
    let mut next = PAGE;
    for entry in entries {
        let place = format!("region `{}`", entry.name);
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if entry.name.is_empty() || !entry.name.chars().all(good) {
            return wrong(place, "a name of letters, digits and `_`", format!("`{}`", entry.name));
        }
        if regions.iter().any(|region| region.name == entry.name) {
            return wrong(place, "a name for each region", "two of this name");
        }
        let bytes = contents(entry, &place, folder, geometry)?;
        let address = entry.address.unwrap_or(next);
        let region = Region { name: entry.name.clone(), address, bytes };
        check_place(&region, &place, &regions)?;
        next = region.range().end.next_multiple_of(PAGE);
        regions.push(region);
    }
    regions.sort_by_key(|region| region.address);
    Ok(regions)
}

fn check_place(region: &Region, place: &str, others: &[Region]) -> Result<(), Wrong> {
    let (address, most) = (region.address, MOST_ADDRESS - HOST_BYTES);
    if !address.is_multiple_of(AXI_BYTES as u64) {
        return wrong(
            format!("{place}, address"),
            format!("a multiple of {AXI_BYTES}"),
            format!("{address:#x}"),
        );
    }
    if address > most || region.range().end > most {
        let found = format!("{address:#x} and {} bytes", region.bytes.len());
        return wrong(place, format!("an end of at most {most:#x}: above lie the host's own rings"), found);
    }
    let range = region.range();
    let overlaps = |other: &&Region| other.range().start < range.end && range.start < other.range().end;
    match others.iter().find(overlaps) {
        Some(other) => wrong(
            place,
            format!("addresses of its own, from {:#x} to {:#x}", range.start, range.end),
            format!(
                "region `{}` there, from {:#x} to {:#x}",
                other.name,
                other.range().start,
                other.range().end
            ),
        ),
        None => Ok(()),
    }
}

/// The bytes of a region, whole words of memory.
fn contents(entry: &RegionEntry, place: &str, folder: &Path, geometry: Geometry) -> Result<Vec<u8>, Wrong> {
    let RegionEntry { size, data, file, operands, weights, session, records, .. } = entry;
    let kinds = [
        ("data", data.is_some()),
        ("file", file.is_some()),
        ("operands", operands.is_some()),
        ("weights", weights.is_some()),
        ("session", session.is_some()),
        ("records", records.is_some()),
    ];
    let given: Vec<_> = kinds.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
    if given.len() > 1 || (given.is_empty() && size.is_none()) {
        let found = if given.is_empty() { "none".to_owned() } else { given.join(" and ") };
        let all = kinds.map(|(name, _)| name).join(", ");
        return wrong(place, format!("`size`, or one of {all}"), found);
    }
    let of = |kind: &str| format!("{place}, {kind}");
    let mut bytes = if let Some(digits) = data {
        hex(&of("data"), digits)?
    } else if let Some(name) = file {
        read_file(&of("file"), &folder.join(name))?
    } else if let Some(operands) = operands {
        generate::operands(&of("operands"), operands)?
    } else if let Some(weights) = weights {
        generate::weights(&of("weights"), weights, geometry.segments)?
    } else if let Some(session) = session {
        generate::session(&of("session"), session, geometry.segments)?
    } else if let Some(records) = records {
        generate::records(&of("records"), records)?
    } else {
        Vec::new()
    };
    let size = size.unwrap_or(bytes.len() as u64);
    if size == 0 || size > MOST_SIZE || size < bytes.len() as u64 {
        let least = bytes.len().max(1);
        return wrong(of("size"), format!("from {least} to {MOST_SIZE} bytes"), size.to_string());
    }
    let whole = usize::try_from(size).expect("limited").next_multiple_of(AXI_BYTES);
    bytes.resize(whole, 0);
    Ok(bytes)
}

fn read_file(place: &str, path: &Path) -> Result<Vec<u8>, Wrong> {
    let expected = || format!("to read {}", path.display());
    let length = match fs::metadata(path) {
        Ok(about) => about.len(),
        Err(e) => return wrong(place, expected(), e.to_string()),
    };
    if length > MOST_SIZE {
        return wrong(place, format!("at most {MOST_SIZE} bytes"), length.to_string());
    }
    fs::read(path).or_else(|e| wrong(place, expected(), e.to_string()))
}
