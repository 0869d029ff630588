// SPDX-License-Identifier: Apache-2.0
//! The leaves of the vector unit in lockstep, each on its own: random operands and corners, with resets in between.

use std::path::Path;

use tandem::lockstep::Lockstep;
use tandem_model::block::Block;
use tandem_model::numerics::Float36;
use tandem_model::numerics::float36::EXPONENT_BIAS;
use tandem_model::vector::types::Function;
use tandem_model::vector::{block_quantiser, float_function, float_product};
use tandem_testbenches::random::{Flavour, Source};
use tandem_verilate::Spec;

const CYCLES: u32 = 30_000;

/// Runs `top` against its model, one call of `inputs` a clock.
fn run<B: Block + Default + Send + 'static>(
    name: &str,
    top: &str,
    folder: &Path,
    mut inputs: impl FnMut(&mut Source) -> B::Inputs,
) -> tandem::Result<()> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    for seed in 1..=2 {
        let mut model = B::default();
        let mut spec = Spec::of_model(name, top, project, &mut model);
        let rtl = project.join("rtl");
        spec.sources =
            vec![rtl.join("lint.vlt"), rtl.join("tandem_pkg.sv"), folder.join(format!("{top}.sv"))];
        spec.include_dirs = vec![rtl.join("common"), rtl.join("vector")];
        let mut source = Source::new(seed, Flavour::Plain);
        let mut lockstep = Lockstep::verilated(&spec, project, model, seed)?;
        for cycle in 0..CYCLES {
            let rst_ni = cycle != 0 && source.below(997) != 0;
            lockstep.step(rst_ni, &mut inputs(&mut source))?;
        }
        lockstep.finish()?;
    }
    Ok(())
}

fn rtl() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rtl/vector")
}

/// A float: any, near 1, at the ends of the range, or 0; often with a fraction of few ones or zeros.
fn float(source: &mut Source) -> Float36 {
    let below = |source: &mut Source, n: u16| i32::try_from(source.below(n.into())).unwrap();
    let exponent = match source.below(8) {
        0 => 0,
        1 => 1 + below(source, 4),
        2 => 4095 - below(source, 4),
        3 => below(source, 4096),
        _ => EXPONENT_BIAS - 30 + below(source, 44),
    };
    let any = source.bits() & 0x7F_FFFF;
    let fraction = match source.below(4) {
        0 => any & source.bits() & source.bits() & source.bits(),
        1 => any | source.bits() & 0x7F_FFFF | source.bits() & 0x7F_FFFF,
        2 => any & 0x7F_F000 | any >> 22,
        _ => any,
    };
    Float36::from_fields(source.below(2) == 1, exponent, fraction & 0x7F_FFFF)
}

fn product(source: &mut Source) -> float_product::Inputs {
    float_product::Inputs { a_i: float(source), b_i: float(source) }
}

fn function(source: &mut Source) -> float_function::Inputs {
    let which = usize::try_from(source.below(4)).unwrap();
    float_function::Inputs { function_i: Function::ALL[which], value_i: float(source) }
}

/// Blocks within a few binades, with zeros, subnormals and largest numbers among them.
fn block(source: &mut Source) -> block_quantiser::Inputs {
    let top = match source.below(8) {
        0 => source.below(6),
        1 => 254 - source.below(4),
        _ => source.below(255),
    };
    let spread = 1 + source.below(12);
    let values_i = std::array::from_fn(|_| {
        let field = top.saturating_sub(source.below(spread));
        let fraction = float(source).fraction();
        let bits = source.below(2) << 31 | field << 23 | fraction;
        if source.below(8) == 0 { 0 } else { u32::try_from(bits).unwrap() }
    });
    let values_i = if source.below(50) == 0 { [0; 32] } else { values_i };
    block_quantiser::Inputs { valid_i: source.below(4) != 0, int8_i: source.below(2) == 1, values_i }
}

#[test]
fn float_product_is_its_model() {
    run::<float_product::FloatProduct>("leaf_float_product", "float_product", &rtl(), product).unwrap();
}

#[test]
fn float_function_is_its_model() {
    run::<float_function::FloatFunction>("leaf_float_function", "float_function", &rtl(), function).unwrap();
}

#[test]
fn block_quantiser_is_its_model() {
    run::<block_quantiser::BlockQuantiser>("leaf_block_quantiser", "block_quantiser", &rtl(), block).unwrap();
}

/// A copy of `rtl/vector/TOP.sv` in which `from` reads `to`, in a folder that stays in place.
fn broken(top: &str, from: &str, to: &str) -> std::path::PathBuf {
    let text = std::fs::read_to_string(rtl().join(format!("{top}.sv"))).unwrap();
    assert_eq!(text.matches(from).count(), 1, "{from}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/vector-leaves");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{top}.sv")), text.replace(from, to)).unwrap();
    folder
}

#[test]
fn rounding_that_ignores_the_even_bit_is_found() {
    let folder = broken("float_product", "normal[SigBits-2:0] != '0 || normal[SigBits]", "1'b1");
    let error = run::<float_product::FloatProduct>("leaf_product_broken", "float_product", &folder, product);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("register rounded_q"), "{error}");
}

#[test]
fn bend_of_the_wrong_sign_is_found() {
    let folder = broken("float_function", "Slope[entry] - SlopeBits'", "Slope[entry] + SlopeBits'");
    let name = "leaf_function_broken";
    let error = run::<float_function::FloatFunction>(name, "float_function", &folder, function);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("register line_q"), "{error}");
}

#[test]
fn scale_without_the_carry_is_found() {
    let folder = broken("block_quantiser", "(int8_q[0] ? CarryInt8 : CarryFp4)", "CarryInt8");
    let name = "leaf_quantiser_broken";
    let error = run::<block_quantiser::BlockQuantiser>(name, "block_quantiser", &folder, block);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("register scale_q[0]"), "{error}");
}
