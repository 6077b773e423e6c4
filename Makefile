# A convenience only: every target is `python3 dev.py <target>`; pass arguments with ARGS="-k fallback".
demo simulate test lint format docs api bench shell install:
	python3 dev.py $@ $(ARGS)

.PHONY: demo simulate test lint format docs api bench shell install
