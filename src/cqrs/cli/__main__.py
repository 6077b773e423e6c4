"""``python -m cqrs.cli`` is ``holdfast``."""

from cqrs.cli.entry import main

raise SystemExit(main())
