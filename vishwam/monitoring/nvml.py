"""What NVIDIA's driver says of every GPU, as one line of JSON for each line read: a process of its own.

A call into a driver that hangs cannot be ended from within, and one that crashes takes its process along; a trial must
survive both, so only this process makes such calls. It imports nothing of the project and needs a few milliseconds.

    python nvml.py [LIBRARY]    LIBRARY: the driver's, `libnvidia-ml.so.1` unless given
"""

import ctypes
import json
import signal
import sys
from collections.abc import Callable
from typing import Any

LIBRARY = "libnvidia-ml.so.1"
UNKNOWN = (1 << 64) - 1  # how NVML writes a number that it does not have
LOST = 15  # NVML_ERROR_GPU_IS_LOST
LARGEST = 1 << 50  # bytes; no GPU has a petabyte

# Why clocks are held down, of the reasons that cost speed: idle and chosen clocks do not.
THROTTLES = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "heat (software)",
    0x40: "heat (hardware)",
    0x80: "power brake",
}


class Driver:
    """Calls of NVML, every one guarded: what fails is absent from the readings, and its error is told beside them."""

    def __init__(self, library: str = LIBRARY):
        if library != LIBRARY:
            ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)  # It has the name that pynvml then asks for.
        import pynvml

        self._nvml = pynvml
        self._errors: dict[str, str] = {}
        self._lost = False
        self._ready = False

    def read(self) -> dict[str, Any]:
        """`driver`, `cuda`, `devices`, and `errors` by function where a call failed."""
        self._errors = {}
        if not self._ready:
            self._ready = self._call("nvmlInit") is not None
            if not self._ready:
                return {"devices": [], "errors": self._errors}
        cuda = self._call("nvmlSystemGetCudaDriverVersion_v2")
        found: dict[str, Any] = {
            "driver": self._call("nvmlSystemGetDriverVersion"),
            "cuda": f"{cuda // 1000}.{cuda % 1000 // 10}" if isinstance(cuda, int) else None,
            "devices": [],
        }
        for index in range(min(self._call("nvmlDeviceGetCount") or 0, 64)):
            self._lost = False
            handle = self._call("nvmlDeviceGetHandleByIndex", index)
            if handle is None:
                found["devices"].append({"index": index, "lost": self._lost})
                continue
            whole = self._device(handle, index)
            slices = self._slices(handle, whole)
            found["devices"] += slices or [whole]
        return found | {"errors": self._errors}

    def _device(self, handle: Any, index: int) -> dict[str, Any]:
        nvml = self._nvml
        use = self._call("nvmlDeviceGetUtilizationRates", handle)
        reasons = self._call("nvmlDeviceGetCurrentClocksEventReasons", handle, quiet=True)
        if reasons is None:  # Drivers before 535 have the older name alone.
            reasons = self._call("nvmlDeviceGetCurrentClocksThrottleReasons", handle)
        errors = (nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC)
        return {
            "index": index,
            "uuid": self._call("nvmlDeviceGetUUID", handle),
            "name": self._call("nvmlDeviceGetName", handle),
            **self._memory(handle),
            "utilisation": sane(use.gpu if use else None, 100),
            "power_w": watts(self._call("nvmlDeviceGetPowerUsage", handle)),
            "power_limit_w": watts(self._call("nvmlDeviceGetEnforcedPowerLimit", handle)),
            "throttle": None if reasons is None else [why for bit, why in THROTTLES.items() if reasons & bit],
            "ecc_uncorrected": sane(self._call("nvmlDeviceGetTotalEccErrors", handle, *errors), 1 << 40),
            "lost": self._lost,
        }

    def _slices(self, handle: Any, whole: dict[str, Any]) -> list[dict[str, Any]]:
        """The MIG slices of a GPU; they share its power, its clocks and its errors, and have memory of their own."""
        mode = self._call("nvmlDeviceGetMigMode", handle, quiet=True)
        if not mode or mode[0] != 1:
            return []
        found = []
        for place in range(min(self._call("nvmlDeviceGetMaxMigDeviceCount", handle) or 0, 16)):
            slice_ = self._call("nvmlDeviceGetMigDeviceHandleByIndex", handle, place, quiet=True)
            if slice_ is None:  # Places that are not taken answer "not found".
                continue
            uuid = self._call("nvmlDeviceGetUUID", slice_)
            name = self._call("nvmlDeviceGetName", slice_)
            # How busy a single slice is, NVML does not say.
            own = {"uuid": uuid, "name": name, "parent": whole["uuid"], "utilisation": None, **self._memory(slice_)}
            found.append(whole | own)
        return found

    def _memory(self, handle: Any) -> dict[str, Any]:
        # The first version of this structure counts what the driver keeps as used.
        reading = self._call("nvmlDeviceGetMemoryInfo", handle, version=self._nvml.nvmlMemory_v2)
        processes = self._call("nvmlDeviceGetComputeRunningProcesses_v3", handle)
        found: dict[str, Any] = {"total": None, "used": None, "reserved": None, "free": None}
        if reading and 0 < reading.total < LARGEST:
            found["total"] = reading.total
            for name in ("used", "reserved", "free"):
                found[name] = sane(getattr(reading, name), reading.total)
        if processes is not None:
            most = found["total"] or LARGEST
            processes = [{"pid": one.pid, "bytes": sane(one.usedGpuMemory, most)} for one in processes]
        return found | {"processes": processes}

    def _call(self, name: str, *arguments: Any, quiet: bool = False, **keywords: Any) -> Any:
        """What it returns, True for nothing; None where it fails: unsupported, forbidden, absent, or worse."""
        call: Callable[..., Any] = getattr(self._nvml, name)
        try:
            result = call(*arguments, **keywords)
            return True if result is None else result
        except self._nvml.NVMLError as error:
            code = getattr(error, "value", None)
            self._lost = self._lost or code == LOST
            unsupported = code in (self._nvml.NVML_ERROR_NOT_SUPPORTED, self._nvml.NVML_ERROR_FUNCTION_NOT_FOUND)
            if not quiet and not unsupported and code != LOST:
                self._errors[name] = str(error)
        except Exception as error:  # Whatever a broken library makes pynvml raise, this process answers.
            self._errors[name] = f"{type(error).__name__}: {error}"
        return None


def sane(value: Any, most: int) -> int | None:
    """None for what no device can mean."""
    return value if isinstance(value, int) and 0 <= value <= most and value != UNKNOWN else None


def watts(milliwatts: Any) -> float | None:
    """None above 100 kW."""
    return None if sane(milliwatts, 10**8) is None else milliwatts / 1000


def main() -> None:
    # It ends with its input: a trial that is stopped still wants to know how its device was.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)
    try:
        driver = Driver(*sys.argv[1:2])
        for _ in sys.stdin:
            print(json.dumps(driver.read()), flush=True)
    except (BrokenPipeError, KeyboardInterrupt):
        pass


if __name__ == "__main__":
    main()
