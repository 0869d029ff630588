// SPDX-License-Identifier: Apache-2.0
// Types and constants of the whole design. `tests/package.rs` checks every constant and every packed struct
// against the model, so a number lives here and in `model/src/array/types.rs` and nowhere else.
package tandem_pkg;

  // Lanes of a segment: one MX block per partial-sum chain.
  localparam int unsigned SegmentLanes = 32;
  // Pipeline stages of float_add.
  localparam int unsigned FloatLatency = 4;
  // Output features of a GEMV tile: entries of a partial-sum file.
  localparam int unsigned PsumSlots = 64;
  // Longest head: it sets the depth of the accumulator files.
  localparam int unsigned MaxHeadDim = 128;

  // Banks of a bank group.
  localparam int unsigned Banks = 4;
  // Data bytes of a SECDED codeword.
  localparam int unsigned CodewordBytes = 8;
  // Bits of a word address, more than any geometry's banks need.
  localparam int unsigned WordAddressBits = 16;
  // Heads between command and last result.
  localparam int unsigned Contexts = 4;
  // Tiles between the first word of K and the last beat of V.
  localparam int unsigned TileSlots = 4;
  // Bits of a token's position in its session.
  localparam int unsigned PositionBits = 20;
  // Fraction bits of a score in fixed point.
  localparam int unsigned ScoreFractionBits = 12;
  // Bits of the integer part of a score, signed.
  localparam int unsigned ScoreExponentBits = 11;
  // Bits of 2^fraction, 1.0 to below 2.0.
  localparam int unsigned MantissaBits = 12;
  // Pipeline stages of exp2.
  localparam int unsigned Exp2Latency = 3;
  // Cycles from a feed tag to its p.
  localparam int unsigned FeedLatency = 3;
  // Cycles from a read of the bank group to its word.
  localparam int unsigned ReadLatency = 2;
  // Beats between the banks and the array.
  localparam int unsigned BeatFifoDepth = 64;
  // Tiles by which the words of K run ahead of those of V.
  localparam int unsigned TilesAhead = 3;

  // Words of a flit's payload; a flit takes as many beats on the wire.
  localparam int unsigned FlitWords = 4;
  // Bytes of a word of the link.
  localparam int unsigned LinkWordBytes = 64;
  // Bits of a flit's number.
  localparam int unsigned SequenceBits = 7;
  // Bits of a count of credits.
  localparam int unsigned CreditBits = 8;
  // Channels of the link: 0 control, 1 latency, 2 bulk; a lower one goes first.
  localparam int unsigned LinkChannels = 3;
  // Flits that may be on their way without having been acknowledged; half of all numbers.
  localparam int unsigned ReplayDepth = 64;
  // Flit buffers at the receiver of the control channel, of the latency channel and of the bulk channel.
  // One of each is where a flit lands: credits are one fewer.
  localparam int unsigned ControlSlots = 16;
  localparam int unsigned LatencySlots = 16;
  localparam int unsigned BulkSlots = 64;
  // Cycles until a missing flit is asked for again: in so many the peer's window is sent.
  localparam int unsigned RetryTimeout = 256;
  // Cycles without a good flit after which the session is given up.
  localparam int unsigned LossTimeout = 512;

  // Floats of a word of the link, little end first; the bits above them are 0.
  localparam int unsigned WordFloats = 14;
  // Bits of a rank: 128 chips.
  localparam int unsigned RankBits = 7;
  // Bits of a port's number.
  localparam int unsigned PortBits = 3;

  // Memory port, AXI4: bits of an address, bits of an ID, bytes of a word of data.
  localparam int unsigned AxiAddressBits = 40;
  localparam int unsigned AxiIdBits = 4;
  localparam int unsigned AxiBytes = 64;
  // Bits of the number of a word of memory.
  localparam int unsigned LineBits = 34;

  // Control: bits of a register's address, bits of a command's index, bits that select a counter.
  localparam int unsigned CsrAddressBits = 12;
  localparam int unsigned CommandIndexBits = 16;
  localparam int unsigned CounterSelectBits = 6;
  // Tokens of the scoreboard.
  localparam int unsigned ScoreboardTokens = 16;
  // Units that run beside each other: control, load, stream, array, append, results, vector.
  localparam int unsigned Units = 7;
  // Most rows of an array: a command has a position for each.
  localparam int unsigned MaxRows = 8;
  // Chunks of stationary operands, x or q, that are kept: a chunk is what the array's lanes hold at a time.
  localparam int unsigned OperandChunks = 128;
  // Bits of a number of output or input features.
  localparam int unsigned FeatureBits = 20;
  // Floats of a word of results.
  localparam int unsigned GroupFloats = 16;
  // Groups of GroupFloats results of every row that there is room for.
  localparam int unsigned ResultGroups = 32;
  // Commands: docs/commands.md.
  localparam int unsigned OpcodeNop = 0;
  localparam int unsigned OpcodeLoad = 1;
  localparam int unsigned OpcodeGemv = 2;
  localparam int unsigned OpcodeAttend = 3;
  localparam int unsigned OpcodeAppend = 4;
  localparam int unsigned OpcodeFill = 5;
  localparam int unsigned OpcodeEmbed = 6;
  localparam int unsigned OpcodeAdd = 7;
  localparam int unsigned OpcodeNorm = 8;
  localparam int unsigned OpcodeAngles = 9;
  localparam int unsigned OpcodeHeads = 10;
  localparam int unsigned OpcodeGate = 11;
  localparam int unsigned OpcodeQuantise = 12;
  localparam int unsigned OpcodeArgmax = 13;
  // How a command ended.
  localparam int unsigned StatusDone = 0;
  localparam int unsigned StatusOpcode = 1;
  localparam int unsigned StatusField = 2;
  localparam int unsigned StatusAlignment = 3;
  localparam int unsigned StatusBounds = 4;
  localparam int unsigned StatusOperand = 5;
  localparam int unsigned StatusBank = 6;
  localparam int unsigned StatusReadError = 7;
  localparam int unsigned StatusWriteError = 8;
  localparam int unsigned StatusNoKeys = 9;
  localparam int unsigned StatusFetchError = 10;
  localparam int unsigned StatusCompletionError = 11;
  localparam int unsigned StatusIndex = 12;
  // Binary32: bits of an exponent code, its code of 2^0, its largest one of a finite number.
  localparam int unsigned Binary32CodeBits = 8;
  localparam int unsigned Binary32Bias = 127;
  localparam int unsigned Binary32Most = 254;
  // Vector unit: units, rows or heads of rows, whose sums and scales are kept.
  localparam int unsigned VectorUnits = 8;
  // Partial sums of a unit in every lane.
  localparam int unsigned PartialSums = 8;
  // Words of 16 features of the longest head.
  localparam int unsigned HeadWords = 8;
  // Pipeline stages of float_multiply, and of float_function.
  localparam int unsigned ProductLatency = 2;
  localparam int unsigned FunctionLatency = 4;
  // Offsets of the registers of rtl/control/registers.json; tests/csr.rs compares.
  localparam int unsigned CsrId = 0;
  localparam int unsigned CsrVersion = 4;
  localparam int unsigned CsrGeometry = 8;
  localparam int unsigned CsrControl = 12;
  localparam int unsigned CsrStatus = 16;
  localparam int unsigned CsrCommandBaseLo = 32;
  localparam int unsigned CsrCommandBaseHi = 36;
  localparam int unsigned CsrRingSizeLog2 = 40;
  localparam int unsigned CsrDoorbell = 44;
  localparam int unsigned CsrConsumer = 48;
  localparam int unsigned CsrCompletionBaseLo = 52;
  localparam int unsigned CsrCompletionBaseHi = 56;
  localparam int unsigned CsrInterruptStatus = 64;
  localparam int unsigned CsrInterruptEnable = 68;
  localparam int unsigned CsrErrorCode = 72;
  localparam int unsigned CsrErrorIndex = 76;
  localparam int unsigned CsrCounterSelect = 80;
  localparam int unsigned CsrCounterLo = 84;
  localparam int unsigned CsrCounterHi = 88;
  localparam int unsigned CsrBoundsBaseLo = 96;
  localparam int unsigned CsrBoundsBaseHi = 100;
  localparam int unsigned CsrBoundsLimitLo = 104;
  localparam int unsigned CsrBoundsLimitHi = 108;

  // ---- float: docs/numerics.md, "The float" ----
  localparam int unsigned FractionBits = 23;
  localparam int unsigned ExponentBits = 12;
  localparam int unsigned ExponentBias = 2048;

  typedef struct packed {
    logic                    sign;
    logic [ExponentBits-1:0] exponent;
    logic [FractionBits-1:0] fraction;
  } float_t;

  // ---- what travels with a beat ----
  typedef enum logic [1:0] {
    ModeIdle = 2'd0,
    ModeGemv = 2'd1,
    ModeQk   = 2'd2,
    ModePv   = 2'd3
  } mode_e;

  // Travels with a beat from lane to lane.
  typedef struct packed {
    mode_e      mode;
    logic       first;       // PV: first token of the tile, the accumulator restarts
    logic       last;        // PV: last token of the tile, the lane drains in the next cycle
    logic       bank;        // which bank of stationary operands the beat multiplies with
    logic       load;        // the p wires carry a stationary operand
    logic       load_bank;   // for this bank
    logic [5:0] load_count;  // of the lane this far to the right; 32 is the segment's edge (the scale)
  } pe_tag_t;

  // Travels with a beat to the edges of the segments.
  typedef struct packed {
    logic       int8;         // operands are MXINT8: lo and hi are halves of one operand
    logic       bank;         // as in pe_tag_t: selects the scale of the stationary operand
    logic [1:0] group_log2;   // log2 of the segments that one result spans
    logic [5:0] slot;         // entry of the partial-sum file; also names the result
    logic       partial_in;   // GEMV, QK: continue from the partial-sum file instead of +0
    logic       partial_out;  // GEMV, QK: park the result in the partial-sum file instead of emitting it
    logic [1:0] part;         // PV: which part of the token this beat carries
    logic       acc_first;    // PV: first tile of a head: accumulate onto +0
    logic       acc_bank;     // PV: bank of the accumulator files
  } edge_tag_t;

  // A beat's control, as it enters the array. pe.first, pe.last and the load fields are 0 where they mean nothing.
  typedef struct packed {
    pe_tag_t   pe;
    edge_tag_t segment;
  } beat_t;

  // ---- small vectors: {hi, lo} chain pairs ----
  typedef struct packed {
    logic signed [4:0] hi;
    logic signed [4:0] lo;
  } operand_t;

  typedef struct packed {
    logic [7:0] hi;
    logic [7:0] lo;
  } lane_byte_t;

  typedef struct packed {
    logic signed [17:0] hi;
    logic signed [17:0] lo;
  } psum_t;

  // ---- between PEs and edges ----
  typedef struct packed {
    logic       row_sum;    // GEMV, QK: sum over the lanes of the segment
    logic       block_sum;  // PV: sum over the tokens of the tile, of one lane
    logic [4:0] lane;
    psum_t      psum;
  } drained_t;

  typedef struct packed {
    logic       valid;
    logic       bank;
    lane_byte_t scale;  // E8M0 of the stationary operand's block
  } scale_load_t;

  typedef struct packed {
    edge_tag_t  tag;
    lane_byte_t scale;  // E8M0 of the streamed blocks
  } row_control_t;

  typedef struct packed {
    logic      last;  // a PV beat that ends its tile
    edge_tag_t tag;
  } block_control_t;

  typedef struct packed {
    logic signed [22:0] number;
    logic signed [12:0] exponent;
  } block_sum_t;

  // ---- out of the array ----
  typedef struct packed {
    logic       valid;
    logic [5:0] slot;
    float_t     value;
  } result_t;

  typedef struct packed {
    logic nan_scale;
    logic saturated;
  } flags_t;

  typedef struct packed {
    logic       valid;
    logic [1:0] segment;
    logic       chain;
    logic [6:0] address;  // {bank, part, lane}; without the part bit where a chain has one part
  } acc_read_t;

  // ---- banks ----
  typedef struct packed {
    logic                       valid;
    logic                       streamed;  // of a tile that is streamed
    logic [WordAddressBits-1:0] address;
  } bank_read_t;

  // What a word that is filled in belongs to.
  typedef enum logic [1:0] {
    RegionResident = 2'd0,  // a pinned tile
    RegionKey      = 2'd1,  // scales, or elements of K, of a tile that is streamed
    RegionValue    = 2'd2,  // elements of V
    RegionReserved = 2'd3
  } region_e;

  typedef struct packed {
    logic                       valid;
    region_e                    region;
    logic [WordAddressBits-1:0] address;
  } bank_fill_t;

  typedef struct packed {
    logic        valid;
    logic        uncorrectable;  // a codeword of this word has two wrong bits
  } bank_word_t;

  typedef struct packed {
    logic [15:0]                corrected;      // codewords read with one wrong bit; stays at its maximum
    logic [15:0]                uncorrectable;  // codewords read with two wrong bits; stays at its maximum
    logic [WordAddressBits-1:0] first_uncorrectable;  // address of the first of them
  } bank_errors_t;

  // ---- attention: a head's command ----
  typedef struct packed {
    logic                       valid;
    logic                       resident;  // all words are in the banks, no tile is waited for
    logic                       int8;    // K and V are MXINT8, else MXFP4
    logic                       wide;    // head of 128, else of 64
    logic                       causal;  // a row sees no key after its own position
    logic [PositionBits-1:0]    window;  // a row sees this many keys up to its position; 0: all
    logic [PositionBits-1:0]    tokens;  // keys of the session
    logic [WordAddressBits-1:0] base;    // where tile 0 lies; not resident: the first tile that a row sees
  } command_t;

  typedef struct packed {
    logic       valid;
    logic [1:0] head;  // context
  } head_start_t;

  // A head between its command and its last result.
  typedef struct packed {
    logic                       resident;
    logic                       int8;
    logic                       wide;
    logic [PositionBits-1:0]    origin;  // first token of the first tile that a row sees
    logic [PositionBits-1:0]    limit;   // after the last token that a row sees
    logic [WordAddressBits-1:0] base;
  } head_info_t;

  // A tile between the first word of K and the last beat of V.
  typedef struct packed {
    logic [1:0]              head;        // context
    logic [4:0]              beats_last;  // beats of a part, less one
    logic [PositionBits-1:0] origin;      // its first token
  } tile_info_t;

  // ---- attention: what travels with a word from the banks to the array ----
  typedef enum logic [1:0] {
    KindKeyScale   = 2'd0,
    KindValueScale = 2'd1,
    KindKey        = 2'd2,
    KindValue      = 2'd3
  } kind_e;

  typedef struct packed {
    logic       valid;
    kind_e      kind;
    logic [1:0] head;        // context
    logic [1:0] tile;        // slot
    logic [1:0] part;
    logic [4:0] beat;        // elements: token of the tile's group; scales: word of the part
    logic       last;        // last beat of the part
    logic       tile_first;  // first beat of the tile
    logic       tile_last;   // last beat of the tile
    logic       head_first;  // of the first tile of the head
    logic       head_last;   // of the last tile of the head
  } word_tag_t;

  // ---- attention: softmax ----
  typedef struct packed {
    logic       valid;
    logic       first;  // of the tile
    logic [1:0] tile;   // slot
    logic [4:0] beat;
  } score_tag_t;

  // mantissa x 2^(exponent + 1 - MantissaBits)
  typedef struct packed {
    logic                                visible;  // else masked: 0
    logic signed [ScoreExponentBits-1:0] exponent;
    logic        [MantissaBits-1:0]      mantissa;
  } weight_t;

  typedef struct packed {
    logic       valid;      // a PV beat: p is wanted
    logic       int8;
    logic [1:0] tile;       // slot
    logic [1:0] part;
    logic [4:0] beat;
    logic       last;       // last beat of the part
    logic       acc_first;  // of the first tile of the head
    logic       acc_bank;
    logic       load;       // the slot carries a stationary operand instead
    logic [6:0] load_chunk;
    logic [5:0] load_count;  // lane, or 32 for the scale
  } feed_tag_t;

  // Sum of a tile's p without V's scales: number x 2^exponent.
  typedef struct packed {
    logic               valid;
    logic               acc_first;
    logic               acc_bank;
    logic        [12:0] number;
    logic signed [11:0] exponent;
  } tile_sum_t;

  typedef struct packed {
    logic clamped;
    logic nan_scale;
  } softmax_flags_t;

  // A block of a stationary operand: 32 elements and their scale.
  typedef struct packed {
    logic               valid;
    logic [MaxRows-1:0] rows;      // that take it
    logic         [1:0] segments;  // that take it
    logic         [1:0] chains;    // that take it
    logic         [6:0] chunk;
    logic         [7:0] scale;
  } operand_block_t;

  // q of a context may be loaded: it lies from this chunk on.
  typedef struct packed {
    logic       valid;
    logic [1:0] head;  // context
    logic [6:0] chunk;
  } operands_t;

  // ---- attention: results ----
  typedef struct packed {
    logic       valid;
    logic [1:0] head;      // context
    logic       int8;
    logic       wide;
    logic       acc_bank;
  } head_end_t;

  typedef struct packed {
    logic       valid;
    logic       last;  // of the head
    logic [1:0] head;  // context
    logic [1:0] block;
    logic [4:0] lane;
  } attended_t;

  typedef struct packed {
    logic empty;     // a row without a key: its result is +0
    logic overflow;  // a result beyond binary32's range
  } normaliser_flags_t;

  typedef struct packed {
    logic empty;
    logic overflow;
    logic clamped;
    logic nan_scale;
    logic saturated;
  } attention_flags_t;

  // ---- link ----
  typedef enum logic [2:0] {
    FlitIdle      = 3'd0,
    FlitData      = 3'd1,
    FlitInit      = 3'd2,
    FlitReady     = 3'd3,
    FlitClose     = 3'd4,
    FlitReserved5 = 3'd5,
    FlitReserved6 = 3'd6,
    FlitReserved7 = 3'd7
  } flit_kind_e;

  // The kind lies in the lower half: it is on the wire in beat 0. What the framer does not look at is the endpoint's.
  typedef struct packed {
    logic [SequenceBits-1:0] number;
    logic [SequenceBits-1:0] ack;
    logic [1:0]              credit_channel;
    logic [CreditBits-1:0]   credit;
    logic [1:0]              channel;
    logic [1:0]              words_last;  // payload words in use, less one
    logic                    nak;
    flit_kind_e              kind;
  } flit_header_t;

  typedef struct packed {
    flit_header_t header;
    logic [31:0]  payload_crc;  // CRC state after all words of the payload
  } flit_request_t;

  typedef struct packed {
    logic         valid;
    logic         good;  // its CRC is right
    flit_header_t header;
  } flit_t;

  // What a channel would send now.
  typedef struct packed {
    logic        valid;
    logic [1:0]  words_last;
    logic [31:0] crc;         // CRC state after these words, from state 0
  } flit_offer_t;

  // What is known of a flit that was sent.
  typedef struct packed {
    logic [1:0]  channel;
    logic [1:0]  words_last;
    logic [31:0] crc;         // CRC state after all words of the payload, from state 0
  } replay_entry_t;

  typedef struct packed {
    logic                    valid;
    logic [SequenceBits-1:0] number;
    replay_entry_t           entry;
  } resend_t;

  // A flit that is missing and has to be asked for.
  typedef struct packed {
    logic                    valid;
    logic [SequenceBits-1:0] number;
  } flit_ask_t;

  // Bring-up of a session: nonces travel in `number` and `ack` of an init flit, `nak` says that `ack` is one.
  typedef enum logic [2:0] {
    LinkDown      = 3'd0,
    LinkInit      = 3'd1,
    LinkReady     = 3'd2,
    LinkUp        = 3'd3,
    LinkClosing   = 3'd4,
    LinkReserved5 = 3'd5,
    LinkReserved6 = 3'd6,
    LinkReserved7 = 3'd7
  } link_state_e;

  // ---- collective ----
  typedef enum logic [1:0] {
    CollectiveReduceScatter = 2'd0,
    CollectiveAllGather     = 2'd1,
    CollectiveAllReduce     = 2'd2,
    CollectiveReserved3     = 2'd3
  } collective_op_e;

  typedef struct packed {
    logic                       valid;
    collective_op_e             op;
    logic                       full;          // every rank has a link to every other, else a ring
    logic [RankBits-1:0]        rank;          // of this chip
    logic [RankBits:0]          ranks;
    logic [WordAddressBits-1:0] base;          // first word of chunk 0
    logic [WordAddressBits-1:0] words;         // of a chunk
    logic [PortBits-1:0]        send_port;     // ring: to the next rank
    logic [PortBits-1:0]        receive_port;  // ring: from the previous rank
  } collective_command_t;

  // ---- memory port: AXI4 channels without what never changes (INCR bursts of whole words), data apart ----
  // AR and AW.
  typedef struct packed {
    logic                      valid;
    logic [AxiIdBits-1:0]      id;
    logic [AxiAddressBits-1:0] address;
    logic [7:0]                length;   // words less one
  } axi_address_t;

  // R.
  typedef struct packed {
    logic                 valid;
    logic [AxiIdBits-1:0] id;
    logic [1:0]           response;
    logic                 last;
  } axi_read_t;

  // B.
  typedef struct packed {
    logic                 valid;
    logic [AxiIdBits-1:0] id;
    logic [1:0]           response;
  } axi_response_t;

  // W, without strobe and data.
  typedef struct packed {
    logic valid;
    logic last;
  } axi_write_t;

  // ---- memory, inside: words in order ----
  typedef struct packed {
    logic                      valid;
    logic [AxiAddressBits-1:0] address;  // of a word
    logic               [15:0] words;    // at least one
  } read_request_t;

  typedef struct packed {
    logic valid;
    logic first;  // of its request
    logic last;
    logic error;  // refused: this word, or one before
  } read_word_t;

  typedef struct packed {
    logic                      valid;
    logic [AxiAddressBits-1:0] address;  // of a word
    logic                [7:0] words;    // at least one
  } write_request_t;

  // All words of a request are written.
  typedef struct packed {
    logic valid;
    logic error;
  } write_done_t;

  // ---- control: AXI4-Lite channels without what never changes ----
  // AW and AR.
  typedef struct packed {
    logic                      valid;
    logic [CsrAddressBits-1:0] address;
  } axi_lite_address_t;

  // W.
  typedef struct packed {
    logic        valid;
    logic  [3:0] strobe;
    logic [31:0] data;
  } axi_lite_write_t;

  // R.
  typedef struct packed {
    logic        valid;
    logic  [1:0] response;
    logic [31:0] data;
  } axi_lite_read_t;

  // B.
  typedef struct packed {
    logic       valid;
    logic [1:0] response;
  } axi_lite_response_t;

  // ---- control: between the registers and the core ----
  typedef struct packed {
    logic [15:0] bank_words;
    logic  [7:0] segments;
    logic  [7:0] rows;
  } core_geometry_t;

  typedef struct packed {
    logic                        valid;
    logic                  [7:0] code;
    logic [CommandIndexBits-1:0] index;  // of the command it belongs to
  } core_error_t;

  typedef struct packed {
    logic                        valid;     // the host has just written it
    logic [CommandIndexBits-1:0] producer;  // commands written since reset
  } doorbell_t;

  typedef struct packed {
    logic doorbell_overflow;
    logic error;
    logic completion;
  } interrupts_t;

  // ---- commands: eight words of 64 bits, this is word 0 ----
  typedef struct packed {
    logic [1:0] reserved;
    logic       grouped;    // Load: the blocks are repeated in every group of segments
    logic       resident;   // Attend: K and V are in the banks
    logic       causal;     // Attend: a row sees no key after its own position
    logic       wide;       // Attend, Append: head of 128, else of 64
    logic       int8;       // W, K and V are MXINT8, else MXFP4
    logic       notify;     // its completion raises the interrupt
  } command_flags_t;

  typedef struct packed {
    logic [ScoreboardTokens-1:0] signal_tokens;  // given back when it is done
    logic [ScoreboardTokens-1:0] wait_tokens;    // waited for before it begins
    logic [7:0]                  operand;        // first chunk of x or q
    logic [7:0]                  rows;
    command_flags_t              flags;
    logic [7:0]                  opcode;
  } command_head_t;

  // Word 1.
  typedef struct packed {
    logic [15:0] bank;     // word of the banks
    logic [47:0] address;  // what is read
  } command_source_t;

  // Word 2.
  typedef struct packed {
    logic [ScoreboardTokens-1:0] wait_array;  // waited for before the array takes it; streams run ahead
    logic [47:0]                 address;     // what is written
  } command_destination_t;

  // Word 3. Words 4 to 7: positions of rows 0 to 7, 32 bits each; of vector commands word 4 is a second source, word 5 the
  // factor of the mean and what is added to it.
  typedef struct packed {
    logic [31:0] length;  // input features; window; first token
    logic [31:0] count;   // output features; keys; tokens; words
  } command_shape_t;

  // ---- commands: between the units ----
  // A command is done.
  typedef struct packed {
    logic                        valid;
    logic                  [7:0] status;
    logic                        notify;
    logic [ScoreboardTokens-1:0] tokens;     // given back
    logic [CommandIndexBits-1:0] index;
  } done_t;

  // What a unit does in this cycle. Starved and blocked are parts of busy.
  typedef struct packed {
    logic                        busy;
    logic                        starved;  // waits for what comes in
    logic                        blocked;  // waits for those behind it
    logic [CommandIndexBits-1:0] index;
  } activity_t;

  // A matrix-vector product for the array.
  typedef struct packed {
    logic                   valid;
    logic                   int8;
    logic [FeatureBits-1:0] features;     // of the output
    logic             [6:0] chunks_last;  // chunks of the contraction, less one
    logic             [6:0] operand;      // first chunk of x
  } gemv_t;

  // Results to come: where they are written.
  typedef struct packed {
    logic                   valid;
    logic             [3:0] rows;
    logic [FeatureBits-1:0] features;
    logic    [LineBits-1:0] line;      // of memory
  } result_job_t;

  // Something that a job needed could not be read.
  typedef struct packed {
    logic       valid;
    logic [1:0] job;
  } job_fault_t;

  // Words of memory that are asked for together: what becomes of them.
  typedef struct packed {
    logic                        valid;
    logic                        weights;  // they go to the array, else to the banks
    region_e                     region;   // of the banks
    logic                  [1:0] head;     // context, of K and V
    logic  [WordAddressBits-1:0] address;  // of the banks: of the next word
    logic                 [15:0] words;    // of the array, that are to come
    logic [CommandIndexBits-1:0] index;    // of the command
  } stream_run_t;

  // ---- vector ----
  // What the lanes make of their operands.
  typedef enum logic [2:0] {
    LaneCopy      = 3'd0,  // y = a
    LaneAdd       = 3'd1,  // y = a + b
    LaneScale     = 3'd2,  // y = (a x scale) x b
    LaneRotate    = 3'd3,  // z = (a x scale) x b, in pairs: lo x cos - hi x sin, then hi x cos + lo x sin
    LaneGate      = 3'd4,  // y = (a / (1 + 2^(-a x log2 e))) x b
    LaneReserved5 = 3'd5,
    LaneReserved6 = 3'd6,
    LaneReserved7 = 3'd7
  } lane_op_e;

  // What float_function computes.
  typedef enum logic [1:0] {
    FunctionReciprocal = 2'd0,
    FunctionRoot       = 2'd1,  // 1 / sqrt(x)
    FunctionPower      = 2'd2,  // 2^x
    FunctionReserved3  = 2'd3
  } function_e;

  // How results are written.
  typedef enum logic [1:0] {
    FormResults   = 2'd0,  // binary32
    FormInt8      = 2'd1,  // MXINT8
    FormFp4       = 2'd2,  // MXFP4
    FormReserved3 = 2'd3
  } form_e;

  // 16 features on their way through the lanes. A unit is a row, or a head of a row.
  typedef struct packed {
    logic        valid;
    logic        hi;     // LaneRotate: the second of a pair
    logic  [2:0] unit;
    logic  [2:0] hold;   // where the first half of a block waits for the second
    logic [15:0] group;  // which 16 features of the unit
  } vector_word_t;

  // Where a unit's results go; the address of its first scale byte is beside it.
  typedef struct packed {
    logic                       valid;
    logic                 [2:0] unit;
    logic  [AxiAddressBits-6:0] base;  // of its elements, in 32 bytes
  } vector_place_t;

  // The operand field of Heads.
  typedef struct packed {
    logic [3:0] reserved;
    logic [1:0] target;   // 0: operand rows, 1: K of records, 2: V of records
    logic       rotated;
    logic       plain;    // not normed: the scale is 1
  } heads_mode_t;

  // Bytes 8 to 15 of an init flit's payload: "TANDEMLK".
  function automatic logic [63:0] link_magic();
    return 64'h4b4c4d45444e4154;
  endfunction

  // Where a word of a streamed tile lies in `words` words of banks, whose lower half is taken when `pinned`.
  function automatic logic [WordAddressBits-1:0] ring_address(
      input int unsigned words, input logic pinned, input logic [WordAddressBits-1:0] address);
    if (!pinned) return address;
    return (address & WordAddressBits'(words / 2 - 1)) | WordAddressBits'(words / 2);
  endfunction

  // The float of a binary32 number. There is no infinity: exponent field 255 is read as any other. Subnormals are 0.
  function automatic float_t widen(input logic [31:0] bits);
    if (bits[30:23] == '0) return '0;
    return {bits[31], ExponentBits'(bits[30:23]) + ExponentBits'(ExponentBias - Binary32Bias), bits[22:0]};
  endfunction

  // The binary32 number of a float, and that it was clamped to the largest: {clamped, number}. Below the smallest it is 0.
  function automatic logic [32:0] narrow(input float_t value);
    if (value.exponent <= ExponentBits'(ExponentBias - Binary32Bias)) return '0;
    if (value.exponent > ExponentBits'(ExponentBias - Binary32Bias + Binary32Most)) begin
      return {1'b1, value.sign, Binary32CodeBits'(Binary32Most), FractionBits'('1)};
    end
    return {1'b0, value.sign, Binary32CodeBits'(value.exponent - ExponentBits'(ExponentBias - Binary32Bias)),
            value.fraction};
  endfunction

  // Parts of the longest head that one chain of `segments` segments accumulates (docs/blocks/segment_edge.md).
  function automatic int unsigned chain_parts(input int unsigned segments);
    return MaxHeadDim > 2 * SegmentLanes * segments ? MaxHeadDim / (2 * SegmentLanes * segments) : 1;
  endfunction

  // Beats per token of a head.
  function automatic int unsigned head_parts(input int unsigned segments, input logic int8,
                                             input logic wide);
    int unsigned blocks = wide ? 4 : 2;
    int unsigned per_beat = int8 ? segments : 2 * segments;
    return blocks > per_beat ? blocks / per_beat : 1;
  endfunction

  // Tokens per beat of a head.
  function automatic int unsigned head_groups(input int unsigned segments, input logic int8,
                                              input logic wide);
    int unsigned blocks = wide ? 4 : 2;
    int unsigned per_beat = int8 ? segments : 2 * segments;
    return per_beat > blocks ? per_beat / blocks : 1;
  endfunction

  // Whose turn it is of four that want something: the next behind the last one that had it. 0 when nobody wants
  // anything.
  function automatic logic [1:0] next_turn(input logic [3:0] wants, input logic [1:0] last);
    logic [1:0] turn = 2'd0;
    for (int unsigned i = 0; i < 4; i++) begin
      if (wants[3-i]) turn = 2'(3 - i);
    end
    for (int unsigned i = 0; i < 4; i++) begin
      if (wants[3-i] && 2'(3 - i) > last) turn = 2'(3 - i);
    end
    return turn;
  endfunction

endpackage : tandem_pkg
