"""Units of measure and currency, in English and Chinese: names to a dimension and an exact factor.

Only what answers are given in; an unknown word after a number is not a unit but a thing counted ("18 eggs").
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

__all__ = ["Unit", "read_unit"]


@dataclass(frozen=True, slots=True)
class Unit:
    """Example: "cm^2" is Unit(dimension="length^2", factor=Fraction(1, 10000))."""

    dimension: str
    factor: Fraction


_TABLE = """
length  1          m meter meters metre metres 米
length  1/100      cm centimeter centimeters centimetre centimetres 厘米 公分
length  1/1000     mm millimeter millimeters millimetre millimetres 毫米
length  1/10       dm decimeter decimeters 分米
length  1000       km kilometer kilometers kilometre kilometres 千米 公里
length  127/5000   in inch inches 英寸
length  381/1250   ft foot feet 英尺
length  1143/1250  yd yard yards 码
length  201168/125 mi mile miles 英里
mass    1          g gram grams 克
mass    1000       kg kgs kilogram kilograms kilo kilos 千克 公斤
mass    500        斤
mass    1/1000     mg milligram milligrams 毫克
mass    1000000    ton tons tonne tonnes 吨
mass    45359237/100000  lb lbs pound pounds 磅
mass    45359237/1600000 oz ounce ounces 盎司
time    1          s sec secs second seconds 秒 秒钟
time    60         min mins minute minutes 分钟
time    3600       h hr hrs hour hours 小时 时
time    86400      day days 天 日
time    604800     week weeks 周 星期
month   1          month months 月 个月
month   12         year years yr yrs 年
volume  1          l liter liters litre litres 升
volume  1/1000     ml milliliter milliliters 毫升
volume  1/100      cl centiliter centiliters
volume  473176473/125000000 gallon gallons gal
length/time 1397/3125 mph
length/time 5/18    kph kmh
energy  1          j joule joules
energy  1000       kj kilojoule kilojoules
energy  3600       wh
energy  3600000    kwh
power   1          w watt watts
power   1000       kw kilowatt kilowatts
frequency 1        hz hertz
turns/time 1       rpm
words/time 1       wpm
share   1/1000000 ppm
share   1/10000    bp bps
share   1/1000     permille ‰
count   12         dozen dozens 打
dollar  1          dollar dollars usd 美元 美金
dollar  1/100      cent cents ¢ 美分
euro    1          € euro euros eur 欧元
gbp     1          £ gbp 英镑
yuan    1          ¥ yuan rmb cny 元 块 块钱 元钱 人民币
yuan    1/10       角 毛
angle   1          rad radian radians 弧度
celsius 1          celsius ℃ 摄氏度
fahrenheit 1       fahrenheit ℉ 华氏度
"""

_UNITS: dict[str, Unit] = {}
for _line in _TABLE.strip().splitlines():
    _dimension, _factor, *_names = _line.split()
    for _name in _names:
        _UNITS[_name] = Unit(_dimension, Fraction(_factor))

_UNITS |= {"basis points": _UNITS["bp"], "basis point": _UNITS["bp"], "per mille": _UNITS["permille"]}
_POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3, "平方": 2, "立方": 3}
_PLURAL_FREE = re.compile(r"\s*(?:\^\s*\{?\s*([23])\s*\}?)\s*$")


@lru_cache(maxsize=4096)
def read_unit(text: str) -> Unit | None:
    """The unit that `text` names, such as "cm^2", "square inches", "km/h", "千米/小时"; None if it names none."""
    text = text.strip().strip(".").casefold().replace("²", "^2").replace("³", "^3")
    for slash in ("/", " per ", "每"):
        top, found, bottom = text.partition(slash)
        if found:
            above, below = _power(top), _power(bottom)
            if above is None or below is None:
                return None
            return Unit(f"{above.dimension}/{below.dimension}", above.factor / below.factor)
    return _power(text)


def _power(text: str) -> Unit | None:
    text = text.strip().strip(".")
    power = 1
    written = _PLURAL_FREE.search(text)
    if written:
        power, text = int(written.group(1)), text[: written.start()].strip()
    for word, exponent in _POWERS.items():
        if text.startswith(word):
            power, text = exponent, text.removeprefix(word).strip(" .")
    unit = _UNITS.get(text)
    if unit is None or power == 1:
        return unit
    return Unit(f"{unit.dimension}^{power}", unit.factor**power)
