// SPDX-License-Identifier: Apache-2.0
//! Every top that is verilated and locksteped: the one place that ties an RTL top and its parameters to a model.

use crate::array::Geometry;
use crate::array::float_add::FloatAdd;
use crate::array::segment_edge::SegmentEdge;
use crate::array::systolic_array::SystolicArray;
use crate::attention::attention_engine::AttentionEngine;
use crate::attention::normaliser::Normaliser;
use crate::attention::softmax::Softmax;
use crate::block::Block;
use crate::collective::collective::{Collective, VECTOR_WORDS};
use crate::compute::gemv_sequencer::GemvSequencer;
use crate::compute::result_buffer::ResultBuffer;
use crate::compute::stream_unit::StreamUnit;
use crate::control::command_unit::CommandUnit;
use crate::control::counters::{COUNTER_WIDTH, Counters};
use crate::control::csr::Csr;
use crate::core::core::Core;
use crate::dma::dma::Dma;
use crate::link::framer::Framer;
use crate::link::link_endpoint::LinkEndpoint;
use crate::memory::axi_reader::{READER_BURST_WORDS, READER_DEPTH, READER_ID_BITS, Reader};
use crate::memory::memory_port::{self, MemoryPort};
use crate::sram::bank_group::BankGroup;
use crate::vector::vector_unit::VectorUnit;

/// An RTL top with the parameters of one geometry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Device {
    /// Unique name, also of the compiled archive.
    pub name: &'static str,
    /// Which kind of block this is.
    pub kind: Kind,
    /// The geometry that sets its parameters.
    pub geometry: Geometry,
}

/// Kinds of block that have a device of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Kind {
    /// `float_add`.
    Float,
    /// `segment_edge`.
    Segment,
    /// `systolic_array`.
    Array,
    /// `bank_group`.
    Sram,
    /// `softmax`.
    Softmax,
    /// `normaliser`.
    Normaliser,
    /// `attention_engine`.
    Attention,
    /// `framer`.
    Framer,
    /// `link_endpoint`.
    Link,
    /// `collective`.
    Collective,
    /// `csr`.
    Csr,
    /// `axi_reader`.
    Reader,
    /// `command_unit`.
    Control,
    /// `counters`.
    Counters,
    /// `stream_unit`.
    Stream,
    /// `dma`.
    Dma,
    /// `gemv_sequencer`.
    Gemv,
    /// `result_buffer`.
    Results,
    /// `core`.
    Core,
    /// `memory_port`.
    Port,
    /// `vector_unit`.
    Vector,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 21] = [
        Self::Float,
        Self::Segment,
        Self::Array,
        Self::Sram,
        Self::Softmax,
        Self::Normaliser,
        Self::Attention,
        Self::Framer,
        Self::Link,
        Self::Collective,
        Self::Csr,
        Self::Reader,
        Self::Control,
        Self::Counters,
        Self::Stream,
        Self::Dma,
        Self::Gemv,
        Self::Results,
        Self::Port,
        Self::Vector,
        Self::Core,
    ];

    /// Folders below `rtl/` that its modules lie in, the top's own first. A change elsewhere rebuilds nothing.
    #[must_use]
    pub const fn groups(self) -> &'static [&'static str] {
        match self {
            Self::Float | Self::Segment | Self::Array => &["array"],
            Self::Sram => &["sram"],
            Self::Softmax => &["attention"],
            Self::Normaliser => &["attention", "array"],
            Self::Attention => &["attention", "array", "sram"],
            Self::Framer | Self::Link => &["link"],
            Self::Collective => &["collective", "array"],
            Self::Csr | Self::Control | Self::Counters => &["control"],
            Self::Stream => &["compute"],
            Self::Dma => &["dma"],
            Self::Gemv => &["compute"],
            Self::Results => &["compute", "array"],
            Self::Core => {
                &["core", "control", "memory", "compute", "dma", "vector", "attention", "array", "sram"]
            }
            Self::Reader | Self::Port => &["memory"],
            Self::Vector => &["vector", "array"],
        }
    }

    /// Name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Segment => "segment",
            Self::Array => "array",
            Self::Sram => "sram",
            Self::Softmax => "softmax",
            Self::Normaliser => "normaliser",
            Self::Attention => "attention",
            Self::Framer => "framer",
            Self::Link => "link",
            Self::Collective => "collective",
            Self::Csr => "csr",
            Self::Reader => "reader",
            Self::Control => "control",
            Self::Counters => "counters",
            Self::Stream => "stream",
            Self::Dma => "dma",
            Self::Gemv => "gemv",
            Self::Results => "results",
            Self::Core => "core",
            Self::Port => "port",
            Self::Vector => "vector",
        }
    }
}

/// Something to do with a device's model, whatever its type.
pub trait WithModel {
    /// What comes out.
    type Output;
    /// Does it with a model after reset.
    fn run<B: Block>(self, device: Device, model: B) -> Self::Output;
}

const SMALL: Geometry = Geometry::ALL[0];
const SLIM: Geometry = Geometry::ALL[1];

impl Device {
    /// All devices. The float adder, the framer, the registers, the AXI reader and the counters have no geometry and stand once.
    pub const ALL: [Self; 35] = [
        Self { name: "float_add", kind: Kind::Float, geometry: SMALL },
        Self { name: "segment_edge_small", kind: Kind::Segment, geometry: SMALL },
        Self { name: "segment_edge_slim", kind: Kind::Segment, geometry: SLIM },
        Self { name: "systolic_array_small", kind: Kind::Array, geometry: SMALL },
        Self { name: "systolic_array_slim", kind: Kind::Array, geometry: SLIM },
        Self { name: "bank_group_small", kind: Kind::Sram, geometry: SMALL },
        Self { name: "bank_group_slim", kind: Kind::Sram, geometry: SLIM },
        Self { name: "softmax_small", kind: Kind::Softmax, geometry: SMALL },
        Self { name: "softmax_slim", kind: Kind::Softmax, geometry: SLIM },
        Self { name: "normaliser_small", kind: Kind::Normaliser, geometry: SMALL },
        Self { name: "normaliser_slim", kind: Kind::Normaliser, geometry: SLIM },
        Self { name: "attention_engine_small", kind: Kind::Attention, geometry: SMALL },
        Self { name: "attention_engine_slim", kind: Kind::Attention, geometry: SLIM },
        Self { name: "framer", kind: Kind::Framer, geometry: SMALL },
        Self { name: "link_endpoint_small", kind: Kind::Link, geometry: SMALL },
        Self { name: "link_endpoint_slim", kind: Kind::Link, geometry: SLIM },
        Self { name: "collective_small", kind: Kind::Collective, geometry: SMALL },
        Self { name: "collective_slim", kind: Kind::Collective, geometry: SLIM },
        Self { name: "csr", kind: Kind::Csr, geometry: SMALL },
        Self { name: "axi_reader", kind: Kind::Reader, geometry: SMALL },
        Self { name: "command_unit_small", kind: Kind::Control, geometry: SMALL },
        Self { name: "command_unit_slim", kind: Kind::Control, geometry: SLIM },
        Self { name: "counters", kind: Kind::Counters, geometry: SMALL },
        Self { name: "stream_unit_small", kind: Kind::Stream, geometry: SMALL },
        Self { name: "stream_unit_slim", kind: Kind::Stream, geometry: SLIM },
        Self { name: "dma_small", kind: Kind::Dma, geometry: SMALL },
        Self { name: "dma_slim", kind: Kind::Dma, geometry: SLIM },
        Self { name: "gemv_sequencer_small", kind: Kind::Gemv, geometry: SMALL },
        Self { name: "gemv_sequencer_slim", kind: Kind::Gemv, geometry: SLIM },
        Self { name: "result_buffer_small", kind: Kind::Results, geometry: SMALL },
        Self { name: "result_buffer_slim", kind: Kind::Results, geometry: SLIM },
        Self { name: "core_small", kind: Kind::Core, geometry: SMALL },
        Self { name: "core_slim", kind: Kind::Core, geometry: SLIM },
        Self { name: "memory_port", kind: Kind::Port, geometry: SMALL },
        Self { name: "vector_unit", kind: Kind::Vector, geometry: SMALL },
    ];

    /// The device called `name`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|d| d.name == name)
    }

    /// The device of a kind and a geometry.
    ///
    /// # Panics
    /// When the geometry is none of [`Geometry::ALL`].
    #[must_use]
    pub fn of(kind: Kind, geometry: Geometry) -> Self {
        let found = Self::ALL.into_iter().find(|d| d.kind == kind && d.geometry == geometry);
        found.expect("every geometry has a device of every kind")
    }

    /// Top module, which is also the file's stem.
    #[must_use]
    pub const fn top(self) -> &'static str {
        match self.kind {
            Kind::Float => "float_add",
            Kind::Segment => "segment_edge",
            Kind::Array => "systolic_array",
            Kind::Sram => "bank_group",
            Kind::Softmax => "softmax",
            Kind::Normaliser => "normaliser",
            Kind::Attention => "attention_engine",
            Kind::Framer => "framer",
            Kind::Link => "link_endpoint",
            Kind::Collective => "collective",
            Kind::Csr => "csr",
            Kind::Reader => "axi_reader",
            Kind::Control => "command_unit",
            Kind::Counters => "counters",
            Kind::Stream => "stream_unit",
            Kind::Dma => "dma",
            Kind::Gemv => "gemv_sequencer",
            Kind::Results => "result_buffer",
            Kind::Core => "core",
            Kind::Port => "memory_port",
            Kind::Vector => "vector_unit",
        }
    }

    /// Parameters of the top.
    #[must_use]
    pub fn parameters(self) -> Vec<(&'static str, usize)> {
        let Geometry { rows, segments, bank_words, selective, peers, .. } = self.geometry;
        match self.kind {
            Kind::Float | Kind::Framer | Kind::Csr | Kind::Vector => vec![],
            Kind::Array | Kind::Normaliser | Kind::Dma => vec![("Rows", rows), ("Segments", segments)],
            Kind::Segment | Kind::Softmax | Kind::Gemv => vec![("Segments", segments)],
            Kind::Sram => vec![("Segments", segments), ("BankWords", bank_words)],
            Kind::Attention | Kind::Control | Kind::Core => {
                vec![("Rows", rows), ("Segments", segments), ("BankWords", bank_words)]
            }
            Kind::Link => vec![("Selective", usize::from(selective))],
            Kind::Collective => vec![("Ports", peers), ("VectorWords", VECTOR_WORDS)],
            Kind::Results => vec![("Rows", rows)],
            Kind::Counters => vec![("Width", COUNTER_WIDTH)],
            Kind::Stream => vec![("Segments", segments), ("Rows", rows), ("BankWords", bank_words)],
            Kind::Reader => {
                vec![
                    ("Depth", READER_DEPTH),
                    ("BurstWords", READER_BURST_WORDS),
                    ("FirstId", 0),
                    ("IdBits", READER_ID_BITS),
                ]
            }
            Kind::Port => vec![
                ("StreamDepth", memory_port::STREAM_DEPTH),
                ("StreamBurst", memory_port::STREAM_BURST),
                ("AuxDepth", memory_port::AUX_DEPTH),
                ("AuxBurst", memory_port::AUX_BURST),
                ("WriteDepth", memory_port::WRITE_DEPTH),
                ("WriteBurst", memory_port::WRITE_BURST),
            ],
        }
    }

    /// Modules that keep a C++ class of their own (docs/decisions/0002).
    #[must_use]
    pub const fn no_inline(self) -> &'static [&'static str] {
        match self.kind {
            Kind::Float
            | Kind::Segment
            | Kind::Sram
            | Kind::Softmax
            | Kind::Normaliser
            | Kind::Framer
            | Kind::Link
            | Kind::Csr
            | Kind::Reader
            | Kind::Control
            | Kind::Counters
            | Kind::Stream
            | Kind::Dma
            | Kind::Gemv
            | Kind::Results
            | Kind::Port => &[],
            // Sixteen of them.
            Kind::Vector => &["vector_lane", "float_function"],
            Kind::Collective => &["float_add"],
            Kind::Array => &["pe_segment", "segment_edge"],
            Kind::Attention => &["pe_segment", "segment_edge", "softmax"],
            Kind::Core => &["pe_segment", "segment_edge", "softmax", "vector_lane", "float_function"],
        }
    }

    /// Hands a model of this device to `with`.
    pub fn with_model<W: WithModel>(self, with: W) -> W::Output {
        match self.kind {
            Kind::Float => with.run(self, FloatAdd::default()),
            Kind::Segment => with.run(self, SegmentEdge::new(self.geometry)),
            Kind::Array => with.run(self, SystolicArray::new(self.geometry)),
            Kind::Sram => with.run(self, BankGroup::new(self.geometry)),
            Kind::Softmax => with.run(self, Softmax::new(self.geometry)),
            Kind::Normaliser => with.run(self, Normaliser::new(self.geometry)),
            Kind::Attention => with.run(self, AttentionEngine::new(self.geometry)),
            Kind::Framer => with.run(self, Framer::default()),
            Kind::Link => with.run(self, LinkEndpoint::new(self.geometry)),
            Kind::Collective => with.run(self, Collective::new(self.geometry)),
            Kind::Csr => with.run(self, Csr::default()),
            Kind::Reader => with.run(self, Reader::default()),
            Kind::Control => with.run(self, CommandUnit::new(self.geometry)),
            Kind::Counters => with.run(self, Counters::default()),
            Kind::Stream => with.run(self, StreamUnit::new(self.geometry)),
            Kind::Dma => with.run(self, Dma::new(self.geometry)),
            Kind::Gemv => with.run(self, GemvSequencer::new(self.geometry)),
            Kind::Results => with.run(self, ResultBuffer::new(self.geometry)),
            Kind::Core => with.run(self, Core::new(self.geometry)),
            Kind::Port => with.run(self, MemoryPort::default()),
            Kind::Vector => with.run(self, VectorUnit::default()),
        }
    }
}
