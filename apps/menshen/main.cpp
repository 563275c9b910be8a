// menshen: the command that people type.
#include "apps/menshen/cli.hpp"

int main(int argc, char** argv) { return menshen::apps::run_cli(argc, argv); }
