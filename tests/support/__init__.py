"""What several test files share, one module per subject. Tests import it as ``support.NAME``."""
