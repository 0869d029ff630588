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

  // Parts of the longest head that one chain of `segments` segments accumulates (docs/blocks/segment_edge.md).
  function automatic int unsigned chain_parts(input int unsigned segments);
    return MaxHeadDim > 2 * SegmentLanes * segments ? MaxHeadDim / (2 * SegmentLanes * segments) : 1;
  endfunction

endpackage : tandem_pkg
