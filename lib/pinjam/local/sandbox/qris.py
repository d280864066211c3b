"""The text of a QRIS code: EMVCo's merchant-presented format with a valid checksum, for a made-up merchant."""


def qris_text(*, transaction_id: str, amount: int) -> str:
    """A dynamic QRIS for `amount` rupiah."""
    merchant = _field("00", "ID.CO.SANDBOX.WWW") + _field("01", "936009140000000000") + _field("03", "UMI")
    text = (
        _field("00", "01")
        + _field("01", "12")
        + _field("26", merchant)
        + _field("52", "6012")
        + _field("53", "360")
        + _field("54", str(amount))
        + _field("58", "ID")
        + _field("59", "PINJAM SANDBOX")
        + _field("60", "JAKARTA")
        + _field("62", _field("05", transaction_id.replace("-", "")[:25]))
        + "6304"
    )
    return f"{text}{crc16(text.encode()):04X}"


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE (polynomial 0x1021, initial 0xFFFF), as EMVCo's format asks for."""
    register = 0xFFFF
    for byte in data:
        register ^= byte << 8
        for _ in range(8):
            register = (register << 1) ^ (0x1021 if register & 0x8000 else 0)
            register &= 0xFFFF
    return register


def _field(tag: str, value: str) -> str:
    return f"{tag}{len(value):02d}{value}"
