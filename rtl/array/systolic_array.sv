// SPDX-License-Identifier: Apache-2.0
// The systolic array: PEs, edges, partial-sum files, accumulators. GEMV, QK and PV are tags on the beats.
//
// One beat a cycle, never a stall. A result of a GEMV or QK beat that enters in cycle n leaves row r in cycle
// n + 36 + 2 * FloatLatency * Segments + r. docs/blocks/systolic_array.md has the schedule's rules.
module systolic_array
  import tandem_pkg::*;
#(
  parameter int unsigned Rows,
  parameter int unsigned Segments
) (
  input  logic                                                clk_i,
  input  logic                                                rst_ni,
  input  beat_t                                               beat_i,
  input  logic         [Segments-1:0][SegmentLanes-1:0][7:0]  elements_i,
  input  lane_byte_t   [Segments-1:0]                         scales_i,
  input  lane_byte_t   [Rows-1:0][Segments-1:0]               p_i,
  input  logic         [Rows-1:0][Segments-1:0][1:0][11:0]    tile_exponent_i,
  input  acc_read_t                                           acc_read_i,
  input  logic                                                clear_flags_i,
  output result_t      [Rows-1:0][Segments-1:0]               result_o,
  output float_t       [Rows-1:0]                             acc_data_o,
  output flags_t       [Rows-1:0]                             flags_o
);

  drained_t    [Rows-1:0][Segments-1:0] drained;
  scale_load_t [Rows-1:0][Segments-1:0] scale_load;

  pe_array #(
    .Rows,
    .Segments
  ) u_pe_array (
    .clk_i,
    .rst_ni,
    .tag_i       (beat_i.pe),
    .int8_i      (beat_i.segment.int8),
    .elements_i,
    .p_i,
    .drained_o   (drained),
    .scale_load_o(scale_load)
  );

  // ---- control to the edges: beside lane 0 for PV, SegmentLanes later for GEMV and QK ----
  block_control_t [Segments-1:0][Rows-1:0] block_control;
  row_control_t   [Segments-1:0][Rows-1:0] row_control;

  for (genvar s = 0; s < Segments; s++) begin : gen_control
    row_control_t   entry;
    logic           entry_last;
    row_control_t   now, late;
    logic           now_last;
    block_control_t now_block;

    assign entry.tag   = beat_i.segment;
    assign entry.scale = scales_i[s];
    assign entry_last  = beat_i.pe.mode == ModePv && beat_i.pe.last;

    delay_line #(
      .Width($bits(row_control_t) + 1),
      .Depth(1 + 2 * FloatLatency * s)
    ) u_entry (
      .clk_i,
      .rst_ni,
      .data_i({entry_last, entry}),
      .data_o({now_last, now})
    );
    assign now_block.last = now_last;
    assign now_block.tag  = now.tag;
    tap_line #(
      .Width($bits(block_control_t)),
      .Taps (Rows)
    ) u_block_rows (
      .clk_i,
      .rst_ni,
      .data_i(now_block),
      .taps_o(block_control[s])
    );
    delay_line #(
      .Width($bits(row_control_t)),
      .Depth(SegmentLanes)
    ) u_late (
      .clk_i,
      .rst_ni,
      .data_i(now),
      .data_o(late)
    );
    tap_line #(
      .Width($bits(row_control_t)),
      .Taps (Rows)
    ) u_row_rows (
      .clk_i,
      .rst_ni,
      .data_i(late),
      .taps_o(row_control[s])
    );
  end

  // ---- rows ----
  float_t [Rows-1:0] acc_data_d, acc_data_q;

  for (genvar r = 0; r < Rows; r++) begin : gen_row
    float_t [Segments:0]          ripple;
    float_t [Segments-1:0]        acc_result;
    flags_t [Segments-1:0]        flags;
    logic   [Segments-1:0]        partial_write;
    logic   [Segments-1:0][5:0]   partial_slot;
    float_t                       partial;

    assign ripple[0] = '0;

    for (genvar s = 0; s < Segments; s++) begin : gen_segment
      segment_edge #(
        .Segments
      ) u_edge (
        .clk_i,
        .rst_ni,
        .segment_i       (2'(s)),
        .drained_i       (drained[r][s]),
        .scale_load_i    (scale_load[r][s]),
        .row_control_i   (row_control[s][r]),
        .block_control_i (block_control[s][r]),
        .tile_exponent_i (tile_exponent_i[r][s]),
        .ripple_i        (ripple[s]),
        .partial_i       (s == 0 ? partial : '0),
        .partial_slot_o  (partial_slot[s]),
        .ripple_o        (ripple[s+1]),
        .result_o        (result_o[r][s]),
        .partial_write_o (partial_write[s]),
        .result_chain_i  (acc_read_i.chain),
        .result_address_i(acc_read_i.address),
        .result_data_o   (acc_result[s]),
        .clear_flags_i,
        .flags_o         (flags[s])
      );
    end

    float_file #(
      .Depth(PsumSlots),
      .Reads(1)
    ) u_psum_file (
      .clk_i,
      .rst_ni,
      .write_i        (partial_write[Segments-1]),
      .write_address_i(result_o[r][Segments-1].slot),
      .write_data_i   (ripple[Segments]),
      .read_address_i (partial_slot[0]),
      .read_data_o    (partial)
    );

    logic unused_slots;
    assign unused_slots = ^{1'b0, partial_slot};

    always_comb begin
      flags_o[r] = '0;
      for (int unsigned s = 0; s < Segments; s++) flags_o[r] |= flags[s];
      acc_data_d[r] = '0;
      if (acc_read_i.valid) begin
        for (int unsigned s = 0; s < Segments; s++) begin
          if (acc_read_i.segment == 2'(s)) acc_data_d[r] = acc_result[s];
        end
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) acc_data_q <= '0;
    else acc_data_q <= acc_data_d;
  end

  assign acc_data_o = acc_data_q;

endmodule : systolic_array
