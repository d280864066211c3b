import io
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from pinjam.adapters.papers import PillowPapers


# Not as strict as the other tests, so that a filter that is as strict would be seen.
@pytest.mark.filterwarnings("default")
def test_reading_pictures_leaves_the_filters_of_warnings_to_the_process() -> None:
    target = io.BytesIO()
    Image.effect_noise((1600, 1200), 50).save(target, "JPEG")
    before = list(warnings.filters)
    seen = []
    with ThreadPoolExecutor(2) as pool:
        reading = [pool.submit(PillowPapers().read, target.getvalue(), pdf_allowed=False) for _ in range(4)]
        while not all(one.done() for one in reading):
            seen.append(list(warnings.filters) == before)
    assert len(seen) > 1
    assert all(seen)
    assert {one.result().content_type for one in reading} == {"image/jpeg"}
