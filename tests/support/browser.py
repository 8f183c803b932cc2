"""A headless Chromium, and packages from npm, for the inbox's tests in a browser."""

import fcntl
import json
import shutil
import subprocess
from contextlib import contextmanager

import pytest

from support.paths import ROOT

ARTIFACTS = ROOT / "tests" / "artifacts"  # screenshots, to be looked at
NODE_MODULES = ROOT / "build" / "inbox-npm"
PACKAGES = {"axe-core": "4", "@sentry/node": "10"}
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
]


def node_modules():
    """The folder of the npm packages that the tests use; fetched at the first call."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    found = NODE_MODULES / "node_modules"
    NODE_MODULES.mkdir(parents=True, exist_ok=True)
    with open(NODE_MODULES / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another file's tests may be at it
        install(found)
    return found


def install(found):
    if not all((found / name / "package.json").exists() for name in PACKAGES):
        wanted = [f"{name}@{version}" for name, version in PACKAGES.items()]
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--no-save"]
        subprocess.run(["npm", "install", *options, *wanted], cwd=NODE_MODULES, check=True, timeout=300)


@contextmanager
def chromium(profile, size=(1280, 900), dark=False, script=True):
    """A driver of the system's Chromium. It waits up to 20 s for what is looked for."""
    webdriver = pytest.importorskip("selenium.webdriver")
    browser, driver_path = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver_path is None:
        pytest.skip("chromium and chromium-driver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in [*FLAGS, f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}"]:
        options.add_argument(flag)
    if not script:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver_path))
    try:
        driver.implicitly_wait(20)
        driver.set_script_timeout(120)  # axe-core on a long page and a busy machine
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        yield driver
    finally:
        driver.quit()


def shoot(driver, name):
    """Keep a screenshot of the whole page."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    driver.save_screenshot(str(ARTIFACTS / f"inbox-{name}.png"))


def violations(driver):
    """What axe-core finds wrong with the page: rule, impact and the first elements."""
    driver.execute_script((node_modules() / "axe-core" / "axe.min.js").read_text())
    found = driver.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "axe.run(document, {resultTypes: ['violations']}).then(r => done(JSON.stringify(r.violations)));"
    )
    return [
        (rule["id"], rule["impact"], [node["target"] + [node["failureSummary"]] for node in rule["nodes"][:3]])
        for rule in json.loads(found)
    ]
