# Aliases of the scripts, for those whose fingers type make.
.PHONY: run stop test bench format lint ci
run stop test bench format lint: ; scripts/$@
ci: ; .ci/run
