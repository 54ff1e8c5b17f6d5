#include <fstream>
#include <iostream>
#include <memory>
#include <string>

#include "app/commands.h"
#include "base/error.h"
#include "base/hub_cache.h"  // find_model
#include "text/tokenize_command.h"

namespace treepo {

void add_tokenize_command(CLI::App& program) {
  struct Flags {
    std::string model, input = "-";
    bool decode = false, special = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = add_command(
      program, "tokenize", "Turn JSON lines {\"text\"} into {\"ids\"}, or back with --decode");
  command->add_option("--model", flags->model, "model directory, or a tokenizer.json")->required();
  command->add_option("--input", flags->input, "file of JSON lines; - is standard input");
  command->add_flag("--decode", flags->decode, "from {\"ids\"} to {\"text\"}");
  command->add_flag("--special", flags->special,
                    "add the special tokens of the model's template; with --decode: keep them");
  command->footer("  echo '{\"text\": \"2 + 2\"}' | treepo tokenize --model DIR --special");
  command->callback([flags] {
    const Tokenizer tokenizer = Tokenizer::load(find_model(flags->model));
    std::ifstream file;
    const bool standard = flags->input == "-";
    if (!standard) file.open(flags->input, std::ios::binary);
    if (!standard && !file) {
      throw Error(fmt::format("{}: cannot be read", flags->input), "name a file of JSON lines");
    }
    std::istream& in = standard ? std::cin : file;
    const std::string name = standard ? "standard input" : flags->input;
    if (flags->decode) {
      detokenize_lines(tokenizer, in, name, std::cout, !flags->special);
    } else {
      tokenize_lines(tokenizer, in, name, std::cout, flags->special);
    }
    std::cout.flush();
    if (!std::cout) throw Error("standard output can't be written", "is the disk or pipe full?");
  });
}

}  // namespace treepo
