// SPDX-License-Identifier: Apache-2.0
//! Follows one list of fields through a run: what changed since the cycle before, and where the two sides differ.

use std::ops::Range;

use tandem_model::block::Format;
use tandem_model::image::{Field, element_bytes};

use crate::decode;
use crate::error::{Error, Result};
use crate::leaf::{Leaf, Scratch, Sided, digits};
use crate::plan::{Kind, Plan, ScopeId, VarId};
use crate::sink::Sink;

/// Elements compared in one go: most do not change, and one comparison rules many of them out.
const BLOCK: usize = 16;

/// One element of a field.
#[derive(Debug)]
pub struct Element {
    bytes: Range<usize>,
    width: u32,
    /// Its variables.
    pub vars: Sided,
    /// The bit that tells whether the sides differ.
    pub differs_var: Option<VarId>,
    /// Range of its leaves in [`Track::leaves`].
    pub leaves: Range<usize>,
    differs: bool,
    /// Cycle of the first difference.
    pub first_difference: Option<u64>,
}

/// One list of fields.
#[derive(Debug)]
pub struct Track {
    what: &'static str,
    sides: [bool; 2],
    suffixes: [&'static str; 2],
    bytes: usize,
    /// Every element.
    pub elements: Vec<Element>,
    /// Decoded parts of elements.
    pub leaves: Vec<Leaf>,
    previous: [Vec<u8>; 2],
    changed: Vec<usize>,
    differing: usize,
}

impl Track {
    /// A track over `fields`, whose variables it adds to the plan below `scope`. `sides` says which there are.
    pub fn new(
        what: &'static str,
        fields: &[Field],
        (sides, suffixes): ([bool; 2], [&'static str; 2]),
        detail: bool,
        (plan, scope): (&mut Plan, ScopeId),
    ) -> Result<Self> {
        let bytes = fields.iter().map(Field::bytes).sum();
        let (elements, leaves, previous, changed) = (vec![], vec![], [vec![], vec![]], vec![]);
        let mut track =
            Self { what, sides, suffixes, bytes, elements, leaves, previous, changed, differing: 0 };
        for field in fields {
            track.add(field, detail, plan, scope)?;
        }
        Ok(track)
    }

    fn add(&mut self, field: &Field, detail: bool, plan: &mut Plan, top: ScopeId) -> Result<()> {
        let fail = |why| Err(Error::Field { path: field.path.clone(), why });
        if field.memory {
            return fail("it is a memory, and the images of a waveform hold registers only");
        }
        if field.entry_width == 0 || !field.width.is_multiple_of(field.entry_width) {
            return fail("its width is no multiple of its entries' width");
        }
        if self.elements.last().map_or(0, |last| last.bytes.end) != field.offset {
            return fail("it does not begin where the field before it ends");
        }
        let mut scope = top;
        let mut names: Vec<_> = field.path.split('.').collect();
        let leaf = names.pop().unwrap_or_default();
        for name in names {
            scope = plan.scope(Some(scope), name)?;
        }
        for index in 0..field.elements {
            let name = if field.elements == 1 { leaf.to_owned() } else { format!("{leaf}[{index}]") };
            let vars = self.declare(plan, scope, &name, Kind::Bits(field.width))?;
            let both = self.sides == [true; 2];
            let differs = || plan.var(scope, format!("{name}_differs"), Kind::Bits(1));
            let differs_var = both.then(differs).transpose()?;
            let first_leaf = self.leaves.len();
            if detail {
                self.split(field, plan, scope, &name)?;
            }
            let start = field.offset + index * element_bytes(field.width);
            self.elements.push(Element {
                bytes: start..start + element_bytes(field.width),
                width: field.width,
                vars,
                differs_var,
                leaves: first_leaf..self.leaves.len(),
                differs: false,
                first_difference: None,
            });
        }
        Ok(())
    }

    fn declare(&self, plan: &mut Plan, scope: ScopeId, name: &str, kind: Kind) -> Result<Sided> {
        let mut vars = [None; 2];
        for ((var, suffix), _) in
            vars.iter_mut().zip(self.suffixes).zip(self.sides).filter(|(_, present)| *present)
        {
            *var = Some(plan.var(scope, format!("{name}{suffix}"), kind)?);
        }
        Ok(vars)
    }

    /// Adds the leaves of one element: the entries of a packed array, then what their format offers.
    fn split(&mut self, field: &Field, plan: &mut Plan, scope: ScopeId, name: &str) -> Result<()> {
        let (width, format) = (field.entry_width, field.format);
        if width == field.width {
            return self.explain((format, 0, width), plan, scope, name);
        }
        for entry in 0..field.width / width {
            let name = format!("{name}[{entry}]");
            let vars = self.declare(plan, scope, &name, Kind::Bits(width))?;
            let low = entry * width;
            self.leaves.push(Leaf { low, width, format: Format::Uint, kind: Kind::Bits(width), vars });
            self.explain((format, low, width), plan, scope, &name)?;
        }
        Ok(())
    }

    /// A number beside a float or a scale, a scope with the fields of a struct.
    fn explain(
        &mut self,
        (format, low, width): (Format, u32, u32),
        plan: &mut Plan,
        scope: ScopeId,
        name: &str,
    ) -> Result<()> {
        // A register may be narrower than its type where the RTL drops a bit: its bits are shown, nothing guessed.
        if !decode::fits(format, width) {
            return Ok(());
        }
        if decode::real(format, 0).is_some() {
            let vars = self.declare(plan, scope, &format!("{name}_real"), Kind::Real)?;
            self.leaves.push(Leaf { low, width, format, kind: Kind::Real, vars });
        }
        let Format::Struct(fields) = format else { return Ok(()) };
        let inner = plan.scope(Some(scope), name)?;
        let mut above = low + width;
        for field in fields {
            above -= field.width;
            let vars = self.declare(plan, inner, field.name, Kind::Bits(field.width))?;
            let (width, kind) = (field.width, Kind::Bits(field.width));
            self.leaves.push(Leaf { low: above, width, format: Format::Uint, kind, vars });
            self.explain((field.format, above, width), plan, inner, field.name)?;
        }
        Ok(())
    }

    /// Whether any element differs between the sides.
    #[must_use]
    pub fn any_differs(&self) -> bool {
        self.differing > 0
    }

    /// Whether images are as long as the fields say.
    pub fn check(&self, images: [Option<&[u8]>; 2]) -> Result<()> {
        let wrong = images.into_iter().flatten().find(|image| image.len() != self.bytes);
        wrong.map_or(Ok(()), |image| {
            Err(Error::Image { what: self.what, expected: self.bytes, got: image.len() })
        })
    }

    /// Writes what changed. `images` must have passed [`Track::check`] and have the sides that the track was made with.
    pub fn record(
        &mut self,
        cycle: u64,
        images: [Option<&[u8]>; 2],
        sink: &mut Sink,
        scratch: &mut Scratch,
    ) -> Result<()> {
        self.changed.clear();
        for (side, image) in images.into_iter().enumerate() {
            let Some(image) = image else { continue };
            self.record_side(side, image, sink, scratch)?;
        }
        if let [Some(rtl), Some(model)] = images {
            self.compare(cycle, rtl, model, sink)?;
        }
        for (previous, image) in self.previous.iter_mut().zip(images) {
            previous.clear();
            previous.extend_from_slice(image.unwrap_or_default());
        }
        Ok(())
    }

    fn record_side(
        &mut self,
        side: usize,
        image: &[u8],
        sink: &mut Sink,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let previous = &self.previous[side];
        // Nothing was recorded yet: everything is written, whatever it is.
        let first = previous.is_empty();
        for (block, elements) in self.elements.chunks(BLOCK).enumerate() {
            let Some(span) = span(elements) else { continue };
            if !first && image[span.clone()] == previous[span] {
                continue;
            }
            for (i, element) in elements.iter().enumerate() {
                let bytes = &image[element.bytes.clone()];
                let before = if first { &[] } else { &previous[element.bytes.clone()] };
                if bytes == before {
                    continue;
                }
                self.changed.push(block * BLOCK + i);
                let Some(var) = element.vars[side] else { continue };
                digits(bytes, element.width, &mut scratch.now);
                sink.bits(var, &scratch.now)?;
                if element.leaves.is_empty() {
                    continue;
                }
                digits(before, if first { 0 } else { element.width }, &mut scratch.before);
                for leaf in &self.leaves[element.leaves.clone()] {
                    leaf.write(side, scratch, sink)?;
                }
            }
        }
        Ok(())
    }

    fn compare(&mut self, cycle: u64, rtl: &[u8], model: &[u8], sink: &mut Sink) -> Result<()> {
        let first = self.previous[0].is_empty();
        for &index in &self.changed {
            let element = &mut self.elements[index];
            let differs = rtl[element.bytes.clone()] != model[element.bytes.clone()];
            if differs {
                element.first_difference.get_or_insert(cycle);
            }
            // An element that changed on both sides comes twice; the second time finds nothing new.
            let toggled = differs != element.differs;
            if toggled {
                self.differing = if differs { self.differing + 1 } else { self.differing.saturating_sub(1) };
                element.differs = differs;
            }
            if let Some(var) = element.differs_var.filter(|_| toggled || first) {
                sink.bits(var, if differs { b"1" } else { b"0" })?;
            }
        }
        Ok(())
    }
}

/// The bytes that elements cover together, which follow each other in the image.
fn span(elements: &[Element]) -> Option<Range<usize>> {
    let (first, last) = (elements.first()?, elements.last()?);
    Some(first.bytes.start..last.bytes.end.max(first.bytes.start))
}
