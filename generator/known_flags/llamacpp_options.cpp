// Prints the options of llama-server as one JSON array. Built against the headers of one llama.cpp and called in a
// process that holds a library with that llama.cpp's own table of options; make_llamacpp.py does both.
#include "arg.h"
#include "common.h"

#include <nlohmann/json.hpp>

#include <cstdio>

extern "C" void print_options() {
    common_params params;
    auto options = nlohmann::json::array();
    for (const common_arg & option : common_params_parser_init(params, LLAMA_EXAMPLE_SERVER, nullptr).options) {
        const auto text = [](const char * value) { return value ? nlohmann::json(value) : nlohmann::json(); };
        const char * takes = option.handler_void ? "nothing" : option.handler_bool ? "bool" : option.handler_int ? "int"
                           : option.handler_str_str ? "two" : "string";
        options.push_back({{"args", option.args}, {"off", option.args_neg}, {"hint", text(option.value_hint)},
                           {"env", text(option.env)}, {"help", option.help}, {"takes", takes}});
    }
    std::fputs(options.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str(), stdout);
    std::fflush(stdout);
}
