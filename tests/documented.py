"""Bodies with the fields of those that the providers' own documents print, each with its source; values are made up.

Against them stand both sides of our own: what the adapters send (`tests/adapters/test_requests.py`) and what the
sandbox takes and answers (`tests/local/test_documented_bodies.py`).
"""

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]

# docs.midtrans.com, Core API: charge features, bank transfer and QRIS.
_DETAILS = {"order_id": "order-101", "gross_amount": 44000}
MIDTRANS_CHARGES: Mapping[str, Json] = {
    **{
        bank: {
            "payment_type": "bank_transfer",
            "transaction_details": _DETAILS,
            "bank_transfer": {"bank": bank},
        }
        for bank in ("bca", "bni", "bri", "cimb")
    },
    "permata": {"payment_type": "permata", "transaction_details": _DETAILS},
    "mandiri": {"payment_type": "echannel", "transaction_details": _DETAILS},
    "qris": {
        "payment_type": "qris",
        "transaction_details": {"order_id": "order03", "gross_amount": 275000},
        "item_details": [
            {
                "id": "id1",
                "price": 275000,
                "quantity": 1,
                "name": "Angsuran pinjaman ke-1 dari 12, jatuh tempo besok",
            }
        ],
        "customer_details": {
            "first_name": "Budi",
            "last_name": "Utomo",
            "email": "budi.utomo@example.com",
            "phone": "081223323423",
        },
        "qris": {"acquirer": "gopay"},
    },
}
# docs.midtrans.com, Core API: custom expiry, and the two lines on an ATM's screen of a Mandiri bill.
MIDTRANS_EXPIRY: Json = {"order_time": "2016-12-07 11:54:12 +0700", "expiry_duration": 60, "unit": "minute"}
MIDTRANS_BILL: Json = {"bill_info1": "Payment:", "bill_info2": "Online purchase"}

_CREATED = {
    "status_code": "201",
    "status_message": "Success, Bank Transfer transaction is created",
    "transaction_id": "be03df7d-2f97-4c8c-a53c-8959f1b67295",
    "order_id": "1571823229",
    "merchant_id": "G812785002",
    "gross_amount": "44000.00",
    "currency": "IDR",
    "payment_type": "bank_transfer",
    "transaction_time": "2019-10-23 16:33:49",
    "transaction_status": "pending",
    "fraud_status": "accept",
}
MIDTRANS_CREATED: Mapping[str, Json] = {
    **{
        bank: {**_CREATED, "va_numbers": [{"bank": bank, "va_number": "812785002530231"}]}
        for bank in ("bca", "bni", "bri")
    },
    "permata": {
        **_CREATED,
        "status_message": "Success, PERMATA VA transaction is successful",
        "permata_va_number": "850003072869607",
    },
    "mandiri": {
        **_CREATED,
        "status_message": "OK, Mandiri Bill transaction is successful",
        "payment_type": "echannel",
        "bill_key": "778347787706",
        "biller_code": "70012",
    },
    "qris": {
        **_CREATED,
        "status_message": "QRIS transaction is created",
        "gross_amount": "275000.00",
        "payment_type": "qris",
        "acquirer": "gopay",
        "actions": [
            {
                "name": "generate-qr-code",
                "method": "GET",
                "url": "https://api.midtrans.com/v2/qris/0d8178e1-c6c7-4ab4-81a6-893be9d924ab/qr-code",
            },
            {
                "name": "generate-qr-code-v2",
                "method": "GET",
                "url": "https://api.midtrans.com/v4/qris/A120250718094848HaVD2xS9VKID/qr-code",
            },
        ],
    },
}
MIDTRANS_NOT_FOUND: Json = {"status_code": "404", "status_message": "The requested resource is not found"}

# docs.midtrans.com, HTTP notification: bank transfer and QRIS.
_SETTLED = {
    "transaction_time": "2021-06-23 11:27:20",
    "transaction_status": "settlement",
    "transaction_id": "9aed5972-5b6a-401e-894b-a32c91ed1a3a",
    "status_message": "midtrans payment notification",
    "status_code": "200",
    "signature_key": "f" * 128,
    "settlement_time": "2021-06-23 11:27:50",
    "order_id": "bca-va-01",
    "merchant_id": "G141532850",
    "gross_amount": "100000.00",
    "fraud_status": "accept",
    "currency": "IDR",
}
MIDTRANS_SETTLED: Mapping[str, Json] = {
    **{
        bank: {
            **_SETTLED,
            "payment_type": "bank_transfer",
            "va_numbers": [{"va_number": "333333333333333", "bank": bank}],
            "payment_amounts": [],
        }
        for bank in ("bca", "bri")
    },
    "qris": {
        **_SETTLED,
        "payment_type": "qris",
        "transaction_type": "on-us",
        "issuer": "gopay",
        "acquirer": "gopay",
    },
}
MIDTRANS_PENDING_QRIS: Json = {
    **{name: value for name, value in _SETTLED.items() if name != "settlement_time"},
    "status_code": "201",
    "transaction_status": "pending",
    "payment_type": "qris",
    "acquirer": "gopay",
}

# developers.facebook.com/docs/whatsapp/cloud-api: messages (template), as the client pywa shapes it; its answer; and
# webhooks, status messages, one delivered and one failed.
WHATSAPP_TEMPLATE: Json = {
    "messaging_product": "whatsapp",
    "recipient_type": "individual",
    "type": "template",
    "to": "6281234567890",
    "template": {
        "name": "payment_reminder_v1",
        "language": {"code": "id"},
        "components": [
            {
                "type": "BODY",
                "parameters": [
                    {"type": "text", "text": "Budi"},
                    {"type": "text", "text": "Rp1.150.000"},
                    {"type": "text", "text": "24 November 2026"},
                ],
            }
        ],
    },
}
WHATSAPP_ACCEPTED: Json = {
    "messaging_product": "whatsapp",
    "contacts": [{"input": "6281234567890", "wa_id": "6281234567890"}],
    "messages": [{"id": "wamid.EXAMPLE", "message_status": "accepted"}],
}
_STATUS = {
    "id": "wamid.EXAMPLE",
    "status": "delivered",
    "timestamp": "1795478400",
    "recipient_id": "6281234567890",
}


def whatsapp_callback(**status: Any) -> Json:
    """A status callback around the given fields of its one status."""
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "628000000000", "phone_number_id": "PHONE_NUMBER_ID"},
        "statuses": [{**_STATUS, **status}],
    }
    change = {"field": "messages", "value": value}
    return {"object": "whatsapp_business_account", "entry": [{"id": "WABA_ID", "changes": [change]}]}


WHATSAPP_PRICING: Json = {"billable": True, "pricing_model": "PMP", "category": "utility", "type": "regular"}
WHATSAPP_ERROR: Json = {
    "code": 131050,
    "title": "This message was not delivered to maintain healthy ecosystem engagement.",
    "message": "This message was not delivered to maintain healthy ecosystem engagement.",
    "error_data": {"details": "The message failed to be delivered."},
    "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
}

# firebase.google.com/docs/reference/fcm/rest/v1/projects.messages.
FCM_SEND: Json = {
    "message": {
        "android": {
            "collapse_key": "inst-LN-1-1",
            "notification": {"channel_id": "repayment"},
            "priority": "high",
            "ttl": "43200s",
        },
        "apns": {"headers": {"apns-priority": "10"}, "payload": {"aps": {"sound": "default"}}},
        "data": {"type": "installment_due", "loan_id": "LN-1", "installment_no": "1"},
        "notification": {"body": "Cicilan Rp1.150.000 jatuh tempo 24 Nov 2026", "title": "Cicilan jatuh tempo"},
        "token": "DEVICE_TOKEN",
        "fcm_options": {"analytics_label": "repay"},
    },
    "validate_only": False,
}

# docs.verihubs.com/docs/sertel-request-response; the pictures are base64, here of a PNG's first bytes.
_PNG = "iVBORw0KGgo="
VERIHUBS_VERIFY: Json = {
    "nik": "3171015708010001",
    "name": "CONTOH NAMA",
    "birth_date": "17-08-2001",
    "email": "contoh@example.com",
    "phone": "6281200000000",
    "selfie_photo": _PNG,
    "ktp_photo": _PNG,
    "reference_id": "ref-1",
}
VERIHUBS_VERDICT: Json = {"status": "not_verified", "reject_field": ["birth_date"], "reference_id": "ref-1"}

# twilio.com/docs/messaging/api/message-resource: the form and the answer; twilio.com/docs/usage/twilios-response.
TWILIO_FORM: Mapping[str, str] = {
    "To": "+6281234567890",
    "From": "+15557122661",
    "Body": "Pinjam: cicilan Rp1.150.000 jatuh tempo 24 Nov 2026",
}
TWILIO_CREATED: Json = {
    "account_sid": "AC00000000000000000000000000000001",
    "api_version": "2010-04-01",
    "body": TWILIO_FORM["Body"],
    "date_created": "Thu, 24 Aug 2023 05:01:45 +0000",
    "date_sent": None,
    "date_updated": "Thu, 24 Aug 2023 05:01:45 +0000",
    "direction": "outbound-api",
    "error_code": None,
    "error_message": None,
    "from": "+15557122661",
    "messaging_service_sid": None,
    "num_media": "0",
    "num_segments": "1",
    "price": None,
    "price_unit": "USD",
    "sid": "SM00000000000000000000000000000001",
    "status": "queued",
    "subresource_uris": {"media": "/2010-04-01/Accounts/AC1/Messages/SM1/Media.json"},
    "to": "+6281234567890",
    "uri": "/2010-04-01/Accounts/AC1/Messages/SM1.json",
}
TWILIO_ERROR: Json = {
    "code": 20404,
    "message": "The requested resource was not found",
    "more_info": "https://www.twilio.com/docs/errors/20404",
    "status": 404,
}

# zenziva.id/dokumentasi.
ZENZIVA_FORM: Mapping[str, str] = {
    "userkey": "userkey",
    "passkey": "passkey",
    "to": "081234567890",
    "message": "Pinjam: cicilan Rp1.150.000 jatuh tempo 24 Nov 2026",
}
ZENZIVA_ANSWER: Json = {"messageId": 1, "to": "081234567890", "status": "1", "text": "Success"}


def shape(body: object) -> object:
    """The names, the nesting and the kinds of values; a list by its different elements."""
    if isinstance(body, Mapping):
        return {name: shape(value) for name, value in body.items()}
    if isinstance(body, list):
        shapes = [shape(value) for value in body]
        return [one for number, one in enumerate(shapes) if one not in shapes[:number]]
    return type(body).__name__
